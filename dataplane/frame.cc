// SPDX-License-Identifier: Apache-2.0
#include "dataplane/frame.h"

#include <algorithm>

#include "dataplane/wire.h"

namespace meshgate {

namespace {

// VLAN rules: a port with a tag takes frames with that tag only; one without takes untagged ones,
// and those with tag 0 (priority only).
Drop parse_ethernet(Frame& frame, rte_mbuf* mbuf, const PortView& view) noexcept {
    if (mbuf->data_len < kEtherLen || mbuf->nb_segs != 1)
        return Drop::too_short;
    const auto* ether = header_at<rte_ether_hdr>(mbuf);
    std::memcpy(frame.destination.bytes.data(), &ether->dst_addr, 6);
    std::memcpy(frame.source.bytes.data(), &ether->src_addr, 6);
    frame.ether_type = rte_be_to_cpu_16(ether->ether_type);
    frame.l3_offset = kEtherLen;
    uint16_t vlan = kNoVlan;
    if ((mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) {
        vlan = mbuf->vlan_tci & 0xfff;
    } else if (frame.ether_type == RTE_ETHER_TYPE_VLAN) {
        if (mbuf->data_len < kEtherLen + kVlanLen)
            return Drop::too_short;
        const auto* tag = header_at<rte_vlan_hdr>(mbuf, kEtherLen);
        vlan = rte_be_to_cpu_16(tag->vlan_tci) & 0xfff;
        frame.ether_type = rte_be_to_cpu_16(tag->eth_proto);
        frame.l3_offset = kEtherLen + kVlanLen;
    }
    if (vlan != view.vlan)
        return Drop::wrong_vlan;
    if (!frame.destination.is_multicast() && frame.destination != view.mac)
        return Drop::foreign_mac;
    return kSound;
}

// Cuts what stands behind the IP packet: Ethernet padding, or bytes nobody accounts for.
Drop trim(rte_mbuf* mbuf, uint16_t l3_offset, uint32_t ip_len) noexcept {
    const uint32_t available = mbuf->data_len - l3_offset;
    if (ip_len > available)
        return Drop::truncated;
    rte_pktmbuf_trim(mbuf, static_cast<uint16_t>(available - ip_len));
    return kSound;
}

Drop check_ipv6(rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    if (mbuf->data_len < l3_offset + kIpv6Len)
        return Drop::too_short;
    const auto* ip = header_at<rte_ipv6_hdr>(mbuf, l3_offset);
    if ((rte_be_to_cpu_32(ip->vtc_flow) >> 28) != 6)
        return Drop::bad_ip_header;
    const uint32_t ip_len = kIpv6Len + uint32_t{rte_be_to_cpu_16(ip->payload_len)};
    if (const Drop wrong = trim(mbuf, l3_offset, ip_len); wrong != kSound)
        return wrong;
    const IpAddress source = IpAddress::v6(ip->src_addr);
    return source.is_multicast() || source.is_loopback() ? Drop::martian : kSound;
}

bool is_neighbor_discovery(rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    const auto* ip = header_at<rte_ipv6_hdr>(mbuf, l3_offset);
    if (ip->proto != kProtoIcmp6 || ip->hop_limits != kNeighborHopLimit ||
        mbuf->data_len < l3_offset + kIpv6Len + sizeof(IcmpHeader))
        return false;
    const uint8_t type = header_at<IcmpHeader>(mbuf, l3_offset + kIpv6Len)->type;
    return type >= kIcmp6RouterSolicit && type <= kIcmp6Redirect;
}

}  // namespace

Drop check_ipv4(rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    if (mbuf->data_len < l3_offset + kIpv4Len)
        return Drop::too_short;
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf, l3_offset);
    const uint16_t header_len = rte_ipv4_hdr_len(ip);
    const uint16_t total_len = rte_be_to_cpu_16(ip->total_length);
    if ((ip->version_ihl >> 4) != 4 || header_len < kIpv4Len || total_len < header_len)
        return Drop::bad_ip_header;
    if (const Drop wrong = trim(mbuf, l3_offset, total_len); wrong != kSound)
        return wrong;
    const uint64_t verdict = mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    const bool verified = verdict == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    if (!verified && static_cast<uint16_t>(~rte_raw_cksum(ip, header_len)) != 0)
        return Drop::bad_ip_checksum;
    const IpAddress source = IpAddress::v4(ip->src_addr);
    if (source.is_multicast() || source.is_loopback() || source.is_unspecified() ||
        ip->src_addr == UINT32_MAX)
        return Drop::martian;
    return kSound;
}

bool is_ours(const PortView& view, const IpAddress& address) noexcept {
    return std::find(view.addresses.begin(), view.addresses.end(), address) != view.addresses.end();
}

void punt_at(Worker& worker, rte_mbuf* mbuf, const Frame& frame, uint16_t offset,
             Punt reason) noexcept {
    rte_pktmbuf_adj(mbuf, offset);
    PacketInfo& info = meta_of(mbuf).info;
    info.source_mac = frame.source;
    info.peer = kNoPeer;  // what came over the underlay is nobody's
    info.vlan = kNoVlan;
    worker.punt(mbuf, reason);
}

// True: an IP packet that the caller goes on with. IPv6 headers are checked here, because what is
// neighbour discovery cannot be told otherwise.
bool accept_frame(Worker& worker, rte_mbuf* mbuf, const PortView& view, Frame& frame) noexcept {
    Drop wrong = parse_ethernet(frame, mbuf, view);
    if (wrong == kSound && frame.ether_type == RTE_ETHER_TYPE_IPV6)
        wrong = check_ipv6(mbuf, frame.l3_offset);
    if (wrong != kSound) {
        worker.drop(mbuf, wrong);
        return false;
    }
    switch (frame.ether_type) {
        case RTE_ETHER_TYPE_IPV4:
            return true;
        case RTE_ETHER_TYPE_ARP:
            punt_at(worker, mbuf, frame, 0, Punt::arp);
            return false;
        case RTE_ETHER_TYPE_IPV6:
            break;
        default:
            worker.drop(mbuf, Drop::unknown_ethertype);
            return false;
    }
    if (!is_neighbor_discovery(mbuf, frame.l3_offset))
        return true;
    punt_at(worker, mbuf, frame, 0, Punt::neighbor_discovery);
    return false;
}

}  // namespace meshgate
