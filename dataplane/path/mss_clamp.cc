// SPDX-License-Identifier: Apache-2.0

// In:    IP packets about to leave for a peer, or that came from one.
// Out:   the same; the MSS option of TCP SYN segments is lowered to what fits through every tunnel
//        on the way, because many networks filter the ICMP that would say so.

#include <algorithm>

#include "dataplane/path/stages.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

constexpr uint8_t kOptionEnd = 0;
constexpr uint8_t kOptionNop = 1;
constexpr uint8_t kOptionMss = 2;
constexpr uint8_t kOptionMssLen = 4;

uint16_t tunnel_mtu(const Worker& worker, PeerId peer) noexcept {
    const PeerSlot& slot = worker.shared.peers[peer];
    const Link* link = slot.path.load(std::memory_order_acquire);
    return link == nullptr ? UINT16_MAX : slot.mtu_of(link->mtu_bytes);
}

// The offset of the TCP header, 0 when there is none to look at.
uint16_t tcp_offset(rte_mbuf* mbuf) noexcept {
    if (mbuf->data_len < kIpv4Len)
        return 0;  // a keepalive
    uint16_t offset = 0;
    if (ip_version(mbuf) == 4) {
        const auto* ip = header_at<rte_ipv4_hdr>(mbuf);
        if (ip->next_proto_id == kProtoTcp && !is_ipv4_fragment(*ip))
            offset = rte_ipv4_hdr_len(ip);
    } else if (mbuf->data_len >= kIpv6Len && header_at<rte_ipv6_hdr>(mbuf)->proto == kProtoTcp) {
        offset = kIpv6Len;
    }
    return mbuf->data_len >= offset + sizeof(rte_tcp_hdr) ? offset : 0;
}

void lower_mss(rte_tcp_hdr& tcp, uint8_t* option, uint16_t max_mss) noexcept {
    uint16_t mss_be = 0;
    std::memcpy(&mss_be, option + 2, sizeof mss_be);
    if (rte_be_to_cpu_16(mss_be) <= max_mss)
        return;
    const uint16_t lowered_be = rte_cpu_to_be_16(max_mss);
    std::memcpy(option + 2, &lowered_be, sizeof lowered_be);
    // At an odd offset the value straddles two words of the sum; its bytes then swap places.
    const bool odd = ((option + 2 - reinterpret_cast<uint8_t*>(&tcp)) & 1) != 0;
    const uint16_t before = odd ? rte_bswap16(mss_be) : mss_be;
    const uint16_t after = odd ? rte_bswap16(lowered_be) : lowered_be;
    tcp.cksum = adjust_checksum(tcp.cksum, before, after);
}

void clamp(rte_mbuf* mbuf, uint16_t offset, uint16_t max_mss) noexcept {
    auto* tcp = header_at<rte_tcp_hdr>(mbuf, offset);
    const uint16_t header_len = static_cast<uint16_t>((tcp->data_off >> 4) * 4);
    if (header_len < sizeof(rte_tcp_hdr) || mbuf->data_len < offset + header_len)
        return;
    auto* option = reinterpret_cast<uint8_t*>(tcp) + sizeof(rte_tcp_hdr);
    const uint8_t* end = reinterpret_cast<uint8_t*>(tcp) + header_len;
    while (option < end && *option != kOptionEnd) {
        if (*option == kOptionNop) {
            ++option;
            continue;
        }
        if (end - option < 2 || option[1] < 2 || option[1] > end - option)
            return;
        if (option[0] == kOptionMss && option[1] == kOptionMssLen) {
            lower_mss(*tcp, option, max_mss);
            return;
        }
        option += option[1];
    }
}

}  // namespace

void mss_clamp_stage(Worker& worker, Batch& batch) noexcept {
    for (rte_mbuf* mbuf : batch) {
        const uint16_t offset = tcp_offset(mbuf);
        if (offset == 0 ||
            (header_at<rte_tcp_hdr>(mbuf, offset)->tcp_flags & RTE_TCP_SYN_FLAG) == 0)
            continue;
        const PacketMeta& meta = meta_of(mbuf);
        uint16_t mtu = UINT16_MAX;
        for (const PeerId peer : {meta.to_peer, meta.from_peer}) {
            if (peer == kNoPeer)
                continue;
            mtu = std::min(mtu, tunnel_mtu(worker, peer));
            worker.parts.activity[peer].sized_packets.add(1);
        }
        const uint16_t headers_len =
            (ip_version(mbuf) == 4 ? kIpv4Len : kIpv6Len) + sizeof(rte_tcp_hdr);
        if (mtu != UINT16_MAX && mtu > headers_len)
            clamp(mbuf, offset, static_cast<uint16_t>(mtu - headers_len));
    }
}

}  // namespace meshgate
