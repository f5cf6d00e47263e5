// SPDX-License-Identifier: Apache-2.0
#include "control/host_interfaces/rtnetlink.h"

#include <linux/icmpv6.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <utility>

namespace meshgate::control {

namespace {

// As the kernel recommends: a page or 8 KiB, whichever is larger; dumps come in such pieces.
constexpr size_t kBufferBytes = 32768;

using Buffer = std::array<char, kBufferBytes>;

// Of changes; whoever makes them faster than we read keeps the rest of us waiting no longer.
constexpr unsigned kMessagesPerDrain = 1024;

template <uint16_t kMax>
struct Attributes {
    std::array<const nlattr*, kMax + 1> found{};

    Attributes(const nlmsghdr* header, size_t message_len) {
        mnl_attr_parse(header, static_cast<unsigned>(message_len), take, this);
    }
    const nlattr* operator[](size_t type) const noexcept { return found[type]; }
    uint32_t number(size_t type) const noexcept {
        return found[type] != nullptr && mnl_attr_get_payload_len(found[type]) == sizeof(uint32_t)
                   ? mnl_attr_get_u32(found[type])
                   : 0;
    }
    std::string text(size_t type) const {
        return found[type] != nullptr ? mnl_attr_get_str(found[type]) : "";
    }

private:
    static int take(const nlattr* attribute, void* data) {
        auto& attributes = *static_cast<Attributes*>(data);
        if (mnl_attr_type_valid(attribute, kMax) > 0)
            attributes.found[mnl_attr_get_type(attribute)] = attribute;
        return MNL_CB_OK;
    }
};

std::optional<IpAddress> address_in(const nlattr* attribute, int family) {
    const size_t len = family == AF_INET ? 4 : 16;
    if (attribute == nullptr || mnl_attr_get_payload_len(attribute) != len)
        return std::nullopt;
    return len == 4 ? IpAddress::v4(mnl_attr_get_u32(attribute))
                    : IpAddress::v6(static_cast<const uint8_t*>(mnl_attr_get_payload(attribute)));
}

void put(nlmsghdr* header, uint16_t type, const IpAddress& address) {
    mnl_attr_put(header, type, address.bits() / 8U, address.bytes.data());
}

unsigned char family_of(const IpAddress& address) noexcept {
    return address.is_v4() ? AF_INET : AF_INET6;
}

// Begins a request; NLM_F_* beside NLM_F_REQUEST.
template <typename Message>
std::pair<nlmsghdr*, Message*> begin_request(std::span<char> buffer, uint16_t type,
                                             unsigned flags) {
    nlmsghdr* const header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = type;
    header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    return {header, static_cast<Message*>(mnl_nlmsg_put_extra_header(header, sizeof(Message)))};
}

int add_address_of(const nlmsghdr* header, void* data) {
    auto& addresses = *static_cast<std::vector<HostAddress>*>(data);
    const auto* message = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(header));
    const Attributes<IFA_MAX> attributes{header, sizeof *message};
    // IFA_ADDRESS is the other end where there is one, IFA_LOCAL is ours.
    const nlattr* own =
        attributes[IFA_LOCAL] != nullptr ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
    const auto ip = address_in(own, message->ifa_family);
    if (!ip)
        return MNL_CB_OK;
    const uint32_t flags = attributes.number(IFA_FLAGS) | message->ifa_flags;
    const bool duplicate = (flags & IFA_F_DADFAILED) != 0;
    const bool tentative = (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
    addresses.push_back(
        {.interface_index = message->ifa_index,
         .prefix = {*ip, message->ifa_prefixlen},
         .protocol =
             attributes[IFA_PROTO] != nullptr ? mnl_attr_get_u8(attributes[IFA_PROTO]) : uint8_t{0},
         .usable = !duplicate && !tentative,
         .deprecated = (flags & IFA_F_DEPRECATED) != 0,
         // Of IPv4 the same bit says that it is not the first address of its network.
         .temporary = ip->is_v6() && (flags & IFA_F_TEMPORARY) != 0});
    return MNL_CB_OK;
}

// The first of that type between two places; null: there is none.
const nlattr* find(const void* begin, const void* end, uint16_t type) {
    const auto* attribute = static_cast<const nlattr*>(begin);
    const auto left = [&] {
        return static_cast<int>(static_cast<const char*>(end) -
                                reinterpret_cast<const char*>(attribute));
    };
    for (; mnl_attr_ok(attribute, left()); attribute = mnl_attr_next(attribute)) {
        if (mnl_attr_get_type(attribute) == type)
            return attribute;
    }
    return nullptr;
}

const nlattr* find_within(const nlattr* nest, uint16_t type) {
    if (nest == nullptr)
        return nullptr;
    const auto* begin = static_cast<const char*>(mnl_attr_get_payload(nest));
    return find(begin, begin + mnl_attr_get_payload_len(nest), type);
}

uint32_t mtu_of_ipv6(const nlattr* of_families) {
    const nlattr* settings = find_within(find_within(of_families, AF_INET6), IFLA_INET6_CONF);
    if (settings == nullptr ||
        mnl_attr_get_payload_len(settings) < (DEVCONF_MTU6 + 1) * sizeof(uint32_t))
        return 0;
    return static_cast<const uint32_t*>(mnl_attr_get_payload(settings))[DEVCONF_MTU6];
}

// The kernel knows greater ones.
uint16_t bounded(uint32_t mtu_bytes) noexcept {
    return static_cast<uint16_t>(std::min<uint32_t>(mtu_bytes, UINT16_MAX));
}

int add_link_of(const nlmsghdr* header, void* data) {
    auto& links = *static_cast<std::vector<HostLink>*>(data);
    const auto* message = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
    const Attributes<IFLA_MAX> attributes{header, sizeof *message};
    links.push_back({.index = static_cast<unsigned>(message->ifi_index),
                     .name = attributes.text(IFLA_IFNAME),
                     .alias = attributes.text(IFLA_IFALIAS),
                     .mtu_bytes = bounded(attributes.number(IFLA_MTU)),
                     .ipv6_mtu_bytes = bounded(mtu_of_ipv6(attributes[IFLA_AF_SPEC]))});
    return MNL_CB_OK;
}

// Of several next hops, the first by our interface.
const rtnexthop* next_hop_by(const nlattr* multipath, unsigned interface_index) {
    const auto* next = static_cast<const rtnexthop*>(mnl_attr_get_payload(multipath));
    size_t left = mnl_attr_get_payload_len(multipath);
    while (left >= sizeof *next && next->rtnh_len >= sizeof *next && next->rtnh_len <= left) {
        if (static_cast<unsigned>(next->rtnh_ifindex) == interface_index)
            return next;
        const size_t len = RTNH_ALIGN(next->rtnh_len);
        if (len >= left)
            break;
        left -= len;
        next = reinterpret_cast<const rtnexthop*>(reinterpret_cast<const char*>(next) + len);
    }
    return nullptr;
}

struct RoutesOf {
    unsigned interface_index;
    std::vector<HostRoute> routes;
};

std::optional<IpAddress> gateway_of(const rtnexthop* next, int family) {
    const auto* end = reinterpret_cast<const char*>(next) + next->rtnh_len;
    return address_in(find(RTNH_DATA(next), end, RTA_GATEWAY), family);
}

int preference_in(const nlattr* attribute) {
    const uint8_t value = attribute == nullptr ? uint8_t{0} : mnl_attr_get_u8(attribute);
    if (value == ICMPV6_ROUTER_PREF_HIGH)
        return 1;
    return value == ICMPV6_ROUTER_PREF_LOW ? -1 : 0;
}

// The kernel keeps routes for a while after routers that advertised them fell silent.
bool is_expired(const nlattr* attribute) {
    if (attribute == nullptr || mnl_attr_get_payload_len(attribute) < sizeof(rta_cacheinfo))
        return false;
    return static_cast<const rta_cacheinfo*>(mnl_attr_get_payload(attribute))->rta_expires < 0;
}

// Others, such as those of prefixes that routers advertise, may be very many.
bool concerns_us(const rtmsg& route) noexcept {
    return route.rtm_table == RT_TABLE_MAIN &&
           (route.rtm_dst_len == 0 || route.rtm_protocol == kOurProtocol);
}

int note_change(const nlmsghdr* header, void* data) {
    const bool is_route = header->nlmsg_type == RTM_NEWROUTE || header->nlmsg_type == RTM_DELROUTE;
    if (!is_route || concerns_us(*static_cast<const rtmsg*>(mnl_nlmsg_get_payload(header))))
        *static_cast<bool*>(data) = true;
    return MNL_CB_OK;
}

int add_route_of(const nlmsghdr* header, void* data) {
    auto& wanted = *static_cast<RoutesOf*>(data);
    const auto* message = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(header));
    const Attributes<RTA_MAX> attributes{header, sizeof *message};
    const int family = message->rtm_family;
    if (!concerns_us(*message) || message->rtm_type != RTN_UNICAST ||
        (message->rtm_flags & RTM_F_CLONED) != 0 || (family != AF_INET && family != AF_INET6))
        return MNL_CB_OK;
    HostRoute route{.interface_index = attributes.number(RTA_OIF),
                    .gateway = address_in(attributes[RTA_GATEWAY], family),
                    .source = address_in(attributes[RTA_PREFSRC], family),
                    .metric = attributes.number(RTA_PRIORITY),
                    .protocol = message->rtm_protocol,
                    .on_link = (message->rtm_flags & RTNH_F_ONLINK) != 0,
                    .preference = preference_in(attributes[RTA_PREF]),
                    .usable = (message->rtm_flags & RTNH_F_DEAD) == 0 &&
                              !is_expired(attributes[RTA_CACHEINFO])};
    if (const nlattr* multipath = attributes[RTA_MULTIPATH]; multipath != nullptr) {
        if (const rtnexthop* next = next_hop_by(multipath, wanted.interface_index)) {
            route.interface_index = wanted.interface_index;
            route.gateway = gateway_of(next, family);
            route.usable = route.usable && (next->rtnh_flags & RTNH_F_DEAD) == 0;
        }
    }
    if (route.interface_index != wanted.interface_index)
        return MNL_CB_OK;
    const IpAddress everything{.family = family == AF_INET ? Family::ipv4 : Family::ipv6};
    route.destination = {address_in(attributes[RTA_DST], family).value_or(everything),
                         message->rtm_dst_len};
    wanted.routes.push_back(route);
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
    for (int group : {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                      RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_IFINFO}) {
        if (mnl_socket_setsockopt(watch.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
            return fail(errno, "cannot watch links, addresses and routes");
    }
    // The kernel sends the routes of one interface alone, not a million of others (Linux 4.20).
    int strict = 1;
    mnl_socket_setsockopt(asking.get(), NETLINK_GET_STRICT_CHK, &strict, sizeof strict);
    return Rtnetlink{std::move(watch), std::move(asking)};
}

bool Rtnetlink::drain() noexcept {
    bool changed = false;
    Buffer buffer;
    for (unsigned i = 0; i < kMessagesPerDrain; ++i) {
        const ssize_t len = mnl_socket_recvfrom(watch_.get(), buffer.data(), buffer.size());
        if (len < 0 && errno != ENOBUFS && errno != EINTR)
            return changed;
        // Without a length: messages were lost.
        if (len < 0 ||
            mnl_cb_run(buffer.data(), static_cast<size_t>(len), 0, 0, note_change, &changed) < 0)
            changed = true;
    }
    return changed;
}

// ---- what there is ----

Result<std::vector<HostAddress>> Rtnetlink::addresses() {
    alignas(nlmsghdr) std::array<char, 64> buffer{};
    const nlmsghdr* const header = begin_request<ifaddrmsg>(buffer, RTM_GETADDR, NLM_F_DUMP).first;
    std::vector<HostAddress> addresses;
    const int status = ask(asking_.get(), header, header->nlmsg_len, add_address_of, &addresses);
    if (status != 0)
        return fail(status, "cannot read the kernel's addresses");
    return addresses;
}

Result<std::vector<HostLink>> Rtnetlink::links() {
    alignas(nlmsghdr) std::array<char, 64> buffer{};
    const nlmsghdr* const header = begin_request<ifinfomsg>(buffer, RTM_GETLINK, NLM_F_DUMP).first;
    std::vector<HostLink> links;
    const int status = ask(asking_.get(), header, header->nlmsg_len, add_link_of, &links);
    if (status != 0)
        return fail(status, "cannot read the kernel's interfaces");
    return links;
}

Result<HostLink> Rtnetlink::link(unsigned index) {
    alignas(nlmsghdr) std::array<char, 64> buffer{};
    const auto [header, message] = begin_request<ifinfomsg>(buffer, RTM_GETLINK, 0);
    message->ifi_index = static_cast<int>(index);
    std::vector<HostLink> links;
    const int status = ask(asking_.get(), header, header->nlmsg_len, add_link_of, &links);
    if (status != 0 || links.empty())
        return fail(status, "cannot read an interface of the kernel");
    return links.front();
}

Result<std::vector<HostRoute>> Rtnetlink::routes(unsigned interface_index) {
    RoutesOf wanted{.interface_index = interface_index, .routes = {}};
    for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
        alignas(nlmsghdr) std::array<char, 64> buffer{};
        const auto [header, message] = begin_request<rtmsg>(buffer, RTM_GETROUTE, NLM_F_DUMP);
        message->rtm_family = family;
        message->rtm_table = RT_TABLE_MAIN;
        mnl_attr_put_u32(header, RTA_OIF, interface_index);
        const int status = ask(asking_.get(), header, header->nlmsg_len, add_route_of, &wanted);
        if (status != 0 && status != ENOENT)
            return fail(status, "cannot read the kernel's routes");
    }
    return std::move(wanted.routes);
}

// ---- what we change ----

Result<void> Rtnetlink::change_address(uint16_t type, uint16_t flags, const HostAddress& address) {
    alignas(nlmsghdr) std::array<char, 128> buffer{};
    const IpAddress& ip = address.prefix.address;
    const auto [header, message] = begin_request<ifaddrmsg>(buffer, type, NLM_F_ACK | flags);
    message->ifa_family = family_of(ip);
    message->ifa_prefixlen = address.prefix.len;
    message->ifa_index = address.interface_index;
    put(header, IFA_LOCAL, ip);
    put(header, IFA_ADDRESS, ip);
    if (type == RTM_NEWADDR && address.protocol != 0) {
        mnl_attr_put_u8(header, IFA_PROTO, address.protocol);
        // The box has asked the link itself.
        mnl_attr_put_u32(header, IFA_FLAGS, IFA_F_NODAD);
    }
    const int status = ask(asking_.get(), header, header->nlmsg_len);
    if (status != 0 && status != (type == RTM_NEWADDR ? EEXIST : EADDRNOTAVAIL))
        return fail(status, type == RTM_NEWADDR
                                ? "cannot give the kernel " + to_string(address.prefix)
                                : "cannot take " + to_string(address.prefix) + " from the kernel");
    return {};
}

Result<void> Rtnetlink::add_address(const HostAddress& address) {
    return change_address(RTM_NEWADDR, NLM_F_CREATE, address);
}

Result<void> Rtnetlink::remove_address(const HostAddress& address) {
    return change_address(RTM_DELADDR, 0, address);
}

Result<void> Rtnetlink::change_route(uint16_t type, uint16_t flags, const HostRoute& route) {
    alignas(nlmsghdr) std::array<char, 160> buffer{};
    const auto [header, message] = begin_request<rtmsg>(buffer, type, NLM_F_ACK | flags);
    message->rtm_family = family_of(route.destination.address);
    message->rtm_dst_len = route.destination.len;
    message->rtm_table = RT_TABLE_MAIN;
    message->rtm_protocol = route.protocol;
    message->rtm_type = RTN_UNICAST;
    message->rtm_scope =
        route.gateway || route.destination.address.is_v6() ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    if (route.on_link)
        message->rtm_flags |= RTNH_F_ONLINK;
    put(header, RTA_DST, route.destination.address);
    mnl_attr_put_u32(header, RTA_OIF, route.interface_index);
    if (route.metric != 0)
        mnl_attr_put_u32(header, RTA_PRIORITY, route.metric);
    if (route.gateway)
        put(header, RTA_GATEWAY, *route.gateway);
    if (route.source)
        put(header, RTA_PREFSRC, *route.source);
    const int status = ask(asking_.get(), header, header->nlmsg_len);
    if (status != 0 && status != (type == RTM_NEWROUTE ? EEXIST : ESRCH))
        return fail(status, std::string{type == RTM_NEWROUTE ? "cannot give the kernel"
                                                             : "cannot take from the kernel"} +
                                " the route to " + to_string(route.destination));
    return {};
}

Result<void> Rtnetlink::add_route(const HostRoute& route) {
    return change_route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
}

Result<void> Rtnetlink::remove_route(const HostRoute& route) {
    return change_route(RTM_DELROUTE, 0, route);
}

Result<void> Rtnetlink::claim_link(unsigned index, const std::string& alias, uint16_t mtu_bytes) {
    alignas(nlmsghdr) std::array<char, 512> buffer{};
    const auto [header, message] = begin_request<ifinfomsg>(buffer, RTM_NEWLINK, NLM_F_ACK);
    message->ifi_index = static_cast<int>(index);
    message->ifi_flags = message->ifi_change = IFF_UP;
    constexpr size_t kMaxAliasLen = 255;  // IFALIASZ, less its end
    mnl_attr_put_str(header, IFLA_IFALIAS, alias.substr(0, kMaxAliasLen).c_str());
    if (mtu_bytes != 0)
        mnl_attr_put_u32(header, IFLA_MTU, mtu_bytes);
    if (const int status = ask(asking_.get(), header, header->nlmsg_len); status != 0)
        return fail(status, "cannot set up an interface of the kernel");
    return {};
}

Result<void> Rtnetlink::remove_link(unsigned index) {
    alignas(nlmsghdr) std::array<char, 64> buffer{};
    const auto [header, message] = begin_request<ifinfomsg>(buffer, RTM_DELLINK, NLM_F_ACK);
    message->ifi_index = static_cast<int>(index);
    if (const int status = ask(asking_.get(), header, header->nlmsg_len); status != 0)
        return fail(status, "cannot remove an interface of the kernel");
    return {};
}

}  // namespace meshgate::control
