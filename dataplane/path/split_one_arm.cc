// SPDX-License-Identifier: Apache-2.0

// In:    frames of a one-arm port, data at the Ethernet header.
// Out:   `underlay`: what a wan port would have, WireGuard's UDP to an address of ours, pieces of
//        it, and ICMP errors about it. The batch keeps the rest, which is as of a LAN port.
// Drops: nothing. What contradicts itself stays where it is: the classify stages judge all.

#include <algorithm>

#include "dataplane/path/stages.h"
#include "dataplane/wire/frame.h"

namespace meshgate {

namespace {

// Both of one header: who it is for, and what it carries.
struct Carried {
    uint16_t l4_offset;
    uint8_t proto;
    bool fragment;
    uint8_t icmp_error;  // the type by which routers speak of our datagrams
    uint8_t icmp_proto;
};

bool is_underlay(const Snapshot& snapshot, rte_mbuf* mbuf, Carried carried) noexcept {
    if (carried.fragment)
        return carried.proto == kProtoUdp;
    if (carried.proto == carried.icmp_proto)
        return mbuf->data_len >= carried.l4_offset + sizeof(IcmpHeader) &&
               header_at<IcmpHeader>(mbuf, carried.l4_offset)->type == carried.icmp_error;
    if (carried.proto != kProtoUdp || mbuf->data_len < carried.l4_offset + kUdpLen)
        return false;
    const auto* udp = header_at<rte_udp_hdr>(mbuf, carried.l4_offset);
    return std::ranges::count(snapshot.listen_ports, rte_be_to_cpu_16(udp->dst_port)) != 0;
}

bool is_underlay_v4(const Snapshot& snapshot, const PortView& view, rte_mbuf* mbuf,
                    uint16_t l3_offset) noexcept {
    if (mbuf->data_len < l3_offset + kIpv4Len)
        return false;
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf, l3_offset);
    return is_ours_v4(view, ip->dst_addr) &&
           is_underlay(snapshot, mbuf,
                       {.l4_offset = static_cast<uint16_t>(l3_offset + rte_ipv4_hdr_len(ip)),
                        .proto = ip->next_proto_id,
                        .fragment = is_ipv4_fragment(*ip),
                        .icmp_error = kIcmpUnreachable,
                        .icmp_proto = kProtoIcmp});
}

bool is_underlay_v6(const Snapshot& snapshot, const PortView& view, rte_mbuf* mbuf,
                    uint16_t l3_offset) noexcept {
    const auto l4_offset = static_cast<uint16_t>(l3_offset + kIpv6Len);
    if (mbuf->data_len < l4_offset + sizeof(FragmentHeader))
        return false;
    const auto* ip = header_at<rte_ipv6_hdr>(mbuf, l3_offset);
    const bool fragment = ip->proto == kProtoFragment;
    return is_ours_v6(view, ip->dst_addr) &&
           is_underlay(snapshot, mbuf,
                       {.l4_offset = l4_offset,
                        .proto = fragment ? header_at<FragmentHeader>(mbuf, l4_offset)->next_header
                                          : ip->proto,
                        .fragment = fragment,
                        .icmp_error = kIcmp6TooBig,
                        .icmp_proto = kProtoIcmp6});
}

}  // namespace

void split_one_arm(const Snapshot& snapshot, PortId port, Batch& batch, Batch& underlay) noexcept {
    const FrameFilter filter{snapshot.ports[port]};
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        Frame frame;
        if (!parse_ethernet(frame, mbuf, filter).is_sound())
            return true;
        const bool taken = (frame.ether_type == RTE_ETHER_TYPE_IPV4 &&
                            is_underlay_v4(snapshot, filter.view, mbuf, frame.l3_offset)) ||
                           (frame.ether_type == RTE_ETHER_TYPE_IPV6 &&
                            is_underlay_v6(snapshot, filter.view, mbuf, frame.l3_offset));
        if (taken)
            underlay.push(mbuf);
        return !taken;
    });
}

}  // namespace meshgate
