// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/queue_discipline.h"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"

namespace meshgate {

namespace {

constexpr char kKind[] = "pfifo_fast";

// What an interface has that sends at once, or not at all.
constexpr std::string_view kNoQueue = "noqueue";

struct DisciplineRequest {
    nlmsghdr header{};
    tcmsg message{};
    rtattr kind{};
    char name[RTA_ALIGN(sizeof kKind)]{};
};

struct InterfaceRequest {
    nlmsghdr header{};
    ifinfomsg message{};
};

// Sends a request about the interface, and receives the first answer into `answer`; its length, or
// -1 and errno.
template <typename Request>
ssize_t ask(Request& request, uint16_t type, uint16_t flags, std::span<std::byte> answer) noexcept {
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = type;
    request.header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    const UniqueFd netlink{socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
    if (!netlink || send(netlink.get(), &request, sizeof request, 0) < 0)
        return -1;
    return recv(netlink.get(), answer.data(), answer.size(), 0);
}

// Adds or deletes the root queue discipline; 0, or an errno.
int change(uint16_t type, uint16_t flags, unsigned interface_index) noexcept {
    DisciplineRequest request;
    request.message.tcm_ifindex = static_cast<int>(interface_index);
    request.message.tcm_parent = TC_H_ROOT;
    request.kind.rta_type = TCA_KIND;
    request.kind.rta_len = RTA_LENGTH(sizeof kKind);
    std::memcpy(request.name, kKind, sizeof kKind);
    struct Answer {
        nlmsghdr header;
        nlmsgerr error;
    } answer{};  // an error brings the request back behind it, cut off here
    const ssize_t len =
        ask(request, type, NLM_F_ACK | flags, std::as_writable_bytes(std::span{&answer, 1}));
    if (len < 0)
        return errno;
    const bool whole = static_cast<size_t>(len) >= sizeof answer;
    return whole && answer.header.nlmsg_type == NLMSG_ERROR ? -answer.error.error : EPROTO;
}

// The kind of its root queue discipline; empty when the kernel does not say.
std::string kind_of(unsigned interface_index) {
    InterfaceRequest request;
    request.message.ifi_index = static_cast<int>(interface_index);
    alignas(nlmsghdr) std::array<std::byte, 16384> answer;
    const ssize_t len = ask(request, RTM_GETLINK, 0, answer);
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer.data());
    if (len < static_cast<ssize_t>(sizeof request) || header->nlmsg_type != RTM_NEWLINK)
        return {};
    auto left = static_cast<int>(len - NLMSG_SPACE(sizeof(ifinfomsg)));
    const auto* attribute =
        reinterpret_cast<const rtattr*>(answer.data() + NLMSG_SPACE(sizeof(ifinfomsg)));
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type == IFLA_QDISC)
            return static_cast<const char*>(RTA_DATA(attribute));
    }
    return {};
}

}  // namespace

Result<QueueDiscipline> QueueDiscipline::add(unsigned interface_index) {
    if (kind_of(interface_index) != kNoQueue)
        return QueueDiscipline{0};
    const int status = change(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, interface_index);
    if (status != 0)
        return fail(status, "cannot give it a queue discipline");
    return QueueDiscipline{interface_index};
}

QueueDiscipline::QueueDiscipline(QueueDiscipline&& other) noexcept
    : interface_index_{std::exchange(other.interface_index_, 0)} {}

QueueDiscipline::~QueueDiscipline() {
    if (interface_index_ != 0)
        change(RTM_DELQDISC, 0, interface_index_);
}

}  // namespace meshgate
