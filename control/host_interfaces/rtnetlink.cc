// SPDX-License-Identifier: Apache-2.0
#include "control/host_interfaces/rtnetlink.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace meshgate::control {

namespace {

// As the kernel recommends: a page or 8 KiB, whichever is larger; dumps come in such pieces.
constexpr size_t kBufferBytes = 32768;

using Buffer = std::array<char, kBufferBytes>;

int add_attribute(const nlattr* attribute, void* data) {
    auto& attributes = *static_cast<std::array<const nlattr*, IFA_MAX + 1>*>(data);
    if (mnl_attr_type_valid(attribute, IFA_MAX) > 0)
        attributes[mnl_attr_get_type(attribute)] = attribute;
    return MNL_CB_OK;
}

int add_address_of(const nlmsghdr* header, void* data) {
    auto& addresses = *static_cast<std::vector<HostAddress>*>(data);
    const auto* message = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(header));
    std::array<const nlattr*, IFA_MAX + 1> attributes{};
    mnl_attr_parse(header, sizeof *message, add_attribute, &attributes);
    // IFA_ADDRESS is the other end where there is one, IFA_LOCAL is ours.
    const nlattr* own =
        attributes[IFA_LOCAL] != nullptr ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
    const size_t len = message->ifa_family == AF_INET ? 4 : 16;
    if (own == nullptr || mnl_attr_get_payload_len(own) != len)
        return MNL_CB_OK;
    HostAddress& address = addresses.emplace_back();
    address.interface_index = message->ifa_index;
    address.prefix.len = message->ifa_prefixlen;
    address.prefix.address =
        len == 4 ? IpAddress::v4(mnl_attr_get_u32(own))
                 : IpAddress::v6(static_cast<const uint8_t*>(mnl_attr_get_payload(own)));
    return MNL_CB_OK;
}

}  // namespace

MnlSocket open_netlink(int family) noexcept {
    MnlSocket socket{mnl_socket_open2(family, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (socket && mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0)
        socket.reset();
    return socket;
}

int ask(mnl_socket* socket, const void* requests, size_t len, mnl_cb_t on_answer,
        void* data) noexcept {
    if (mnl_socket_sendto(socket, requests, len) < 0)
        return errno;
    const unsigned port = mnl_socket_get_portid(socket);
    int failed = 0;
    Buffer buffer;
    // Until nothing is left: of a batch, each request that fails has an answer of its own.
    for (;;) {
        const ssize_t nb_bytes = mnl_socket_recvfrom(socket, buffer.data(), buffer.size());
        if (nb_bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return failed;
        if (nb_bytes < 0)
            return failed != 0 ? failed : errno;
        const int status =
            mnl_cb_run(buffer.data(), static_cast<size_t>(nb_bytes), 0, port, on_answer, data);
        if (status < 0 && failed == 0)
            failed = errno;
    }
}

Result<Rtnetlink> Rtnetlink::open() {
    MnlSocket watch = open_netlink(NETLINK_ROUTE);
    MnlSocket asking = open_netlink(NETLINK_ROUTE);
    if (!watch || !asking)
        return fail(errno, "cannot open rtnetlink");
    for (int group : {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR}) {
        if (mnl_socket_setsockopt(watch.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
            return fail(errno, "cannot watch links and addresses");
    }
    return Rtnetlink{std::move(watch), std::move(asking)};
}

bool Rtnetlink::drain() noexcept {
    bool changed = false;
    Buffer buffer;
    for (;;) {
        const ssize_t len = mnl_socket_recvfrom(watch_.get(), buffer.data(), buffer.size());
        if (len < 0 && errno != ENOBUFS && errno != EINTR)
            return changed;
        changed = true;  // or lost: ENOBUFS
    }
}

Result<std::vector<HostAddress>> Rtnetlink::addresses() {
    alignas(nlmsghdr) std::array<char, 64> buffer{};
    nlmsghdr* const header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = RTM_GETADDR;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    mnl_nlmsg_put_extra_header(header, sizeof(ifaddrmsg));
    std::vector<HostAddress> addresses;
    const int status = ask(asking_.get(), header, header->nlmsg_len, add_address_of, &addresses);
    if (status != 0)
        return fail(status, "cannot read the kernel's addresses");
    return addresses;
}

Result<void> Rtnetlink::add_address(const HostAddress& address) {
    alignas(nlmsghdr) std::array<char, 128> buffer{};
    const IpAddress& ip = address.prefix.address;
    nlmsghdr* const header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = RTM_NEWADDR;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
    auto* const message =
        static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifaddrmsg)));
    message->ifa_family = ip.is_v4() ? AF_INET : AF_INET6;
    message->ifa_prefixlen = address.prefix.len;
    message->ifa_index = address.interface_index;
    mnl_attr_put(header, IFA_LOCAL, ip.bits() / 8U, ip.bytes.data());
    mnl_attr_put(header, IFA_ADDRESS, ip.bits() / 8U, ip.bytes.data());
    const int status = ask(asking_.get(), header, header->nlmsg_len);
    if (status != 0 && status != EEXIST)
        return fail(status, "cannot give the kernel " + to_string(address.prefix) + " back");
    return {};
}

}  // namespace meshgate::control
