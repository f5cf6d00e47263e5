// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/injector/packet_socket.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace meshgate::lab {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kMaxFrame = 10000;
constexpr size_t kVlanAt = 12;

[[noreturn]] void die(const std::string& what) {
    std::fprintf(stderr, "injector: %s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

void restore_vlan_tag(Frame& frame, msghdr& message) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_PACKET || part->cmsg_type != PACKET_AUXDATA)
            continue;
        tpacket_auxdata aux{};
        std::memcpy(&aux, CMSG_DATA(part), sizeof aux);
        if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0 || frame.size() < kVlanAt)
            return;
        const std::array<uint8_t, 4> tag{0x81, 0x00, static_cast<uint8_t>(aux.tp_vlan_tci >> 8),
                                         static_cast<uint8_t>(aux.tp_vlan_tci)};
        frame.insert(frame.begin() + kVlanAt, tag.begin(), tag.end());
        return;
    }
}

}  // namespace

PacketSocket::PacketSocket(const std::string& interface)
    : fd_{socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0)} {
    if (fd_ < 0)
        die("packet socket");
    const int on = 1;
    const int buffer_bytes = 64 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
    setsockopt(fd_, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
    setsockopt(fd_, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on);
    // Without it every frame we send would come back to us.
    if (setsockopt(fd_, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0)
        die("PACKET_IGNORE_OUTGOING");
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (address.sll_ifindex == 0)
        die(interface);
    if (bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        die("bind to " + interface);
}

std::vector<Frame> PacketSocket::receive() {
    static std::array<std::array<uint8_t, kMaxFrame>, kBatch> data;
    static std::array<std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))>, kBatch> control;
    std::array<iovec, kBatch> vectors{};
    std::array<mmsghdr, kBatch> messages{};
    for (size_t i = 0; i < kBatch; ++i) {
        vectors[i] = {data[i].data(), kMaxFrame};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = control[i].data();
        messages[i].msg_hdr.msg_controllen = control[i].size();
    }
    const int nb = recvmmsg(fd_, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    std::vector<Frame> frames;
    for (size_t i = 0; i < static_cast<size_t>(std::max(nb, 0)); ++i) {
        frames.emplace_back(data[i].data(), data[i].data() + messages[i].msg_len);
        restore_vlan_tag(frames.back(), messages[i].msg_hdr);
    }
    return frames;
}

uint64_t PacketSocket::send(const std::vector<Frame>& frames) {
    uint64_t refused = 0;
    for (size_t at = 0; at < frames.size();) {
        std::array<iovec, kBatch> vectors{};
        std::array<mmsghdr, kBatch> messages{};
        const size_t nb = std::min(kBatch, frames.size() - at);
        for (size_t i = 0; i < nb; ++i) {
            vectors[i] = {const_cast<uint8_t*>(frames[at + i].data()), frames[at + i].size()};
            messages[i].msg_hdr.msg_iov = &vectors[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        const int done = sendmmsg(fd_, messages.data(), static_cast<unsigned>(nb), 0);
        refused += done <= 0 ? 1 : 0;  // the first of the rest; go on behind it
        at += static_cast<size_t>(std::max(done, 1));
    }
    return refused;
}

uint64_t PacketSocket::missed() {
    tpacket_stats stats{};
    socklen_t len = sizeof stats;
    getsockopt(fd_, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
    return stats.tp_drops;
}

}  // namespace meshgate::lab
