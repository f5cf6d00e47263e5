// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/api/snapshot.h"
#include "dataplane/packet/verdict.h"
#include "dataplane/wire/wire.h"

// What both classify stages do with every frame.

namespace meshgate {

// What a port's frames are held against, made ready once per batch.
struct FrameFilter {
    explicit FrameFilter(const PortView& port) noexcept : view{port} {
        std::memcpy(&mac, view.mac.bytes.data(), view.mac.bytes.size());
    }

    const PortView& view;
    uint64_t mac = 0;  // in the first six bytes, as on the wire
};

// Handed on by value, so that it lives in registers.
struct Frame {
    const rte_ether_hdr* ether = nullptr;
    uint16_t ether_type = 0;  // host order, behind a VLAN tag if there is one
    uint16_t l3_offset = 0;

    template <typename Header>
    const Header& l3() const noexcept {
        return *reinterpret_cast<const Header*>(reinterpret_cast<const uint8_t*>(ether) +
                                                l3_offset);
    }
    bool is_for_group() const noexcept { return (ether->dst_addr.addr_bytes[0] & 1) != 0; }
    bool is_for(uint64_t mac) const noexcept {
        uint64_t destination = 0;  // and the first two bytes behind it
        std::memcpy(&destination, ether, sizeof destination);
        return ((destination ^ mac) << 16) == 0;
    }
    MacAddress source() const noexcept {
        MacAddress mac;
        std::memcpy(mac.bytes.data(), &ether->src_addr, mac.bytes.size());
        return mac;
    }
};

// VLAN rules: a port with a tag takes frames with that tag only; one without takes untagged ones,
// and those with tag 0 (priority only).
inline Verdict parse_ethernet(Frame& frame, rte_mbuf* mbuf, const FrameFilter& filter) noexcept {
    if (mbuf->data_len < kEtherLen || mbuf->nb_segs != 1)
        return Drop::too_short;
    frame.ether = header_at<rte_ether_hdr>(mbuf);
    frame.ether_type = rte_be_to_cpu_16(frame.ether->ether_type);
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
    if (vlan != filter.view.vlan)
        return Drop::wrong_vlan;
    return frame.is_for(filter.mac) || frame.is_for_group() ? kSound : Drop::foreign_mac;
}

// Cuts what stands behind the IP packet: Ethernet padding, or bytes nobody accounts for.
inline Verdict trim(rte_mbuf* mbuf, uint16_t l3_offset, uint32_t ip_len) noexcept {
    if (l3_offset + ip_len > mbuf->data_len)
        return Drop::truncated;
    if (l3_offset + ip_len < mbuf->data_len)
        narrow(mbuf, 0, static_cast<uint16_t>(l3_offset + ip_len));
    return kSound;
}

// Multicast, loopback, unspecified or broadcast: no packet may come from there.
inline bool is_martian_source(uint32_t source_be) noexcept {
    const uint32_t source = rte_be_to_cpu_32(source_be);
    return (source >> 28) == 0xe || (source >> 24) == 127 || source + 1 <= 1;
}

// The IPv4 header and its checksum; cuts what stands behind the packet.
inline Verdict check_ipv4(rte_mbuf* mbuf, Frame frame) noexcept {
    if (mbuf->data_len < frame.l3_offset + kIpv4Len)
        return Drop::too_short;
    const auto* ip = &frame.l3<rte_ipv4_hdr>();
    const uint16_t header_len = rte_ipv4_hdr_len(ip);
    const uint16_t total_len = rte_be_to_cpu_16(ip->total_length);
    if ((ip->version_ihl >> 4) != 4 || header_len < kIpv4Len || total_len < header_len)
        return Drop::bad_ip_header;
    if (const Verdict verdict = trim(mbuf, frame.l3_offset, total_len); !verdict.is_sound())
        return verdict;
    const uint64_t verdict = mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    if (verdict != RTE_MBUF_F_RX_IP_CKSUM_GOOD && !ipv4_checksum_right(ip, header_len))
        return Drop::bad_ip_checksum;
    return is_martian_source(ip->src_addr) ? Drop::martian_source : kSound;
}

inline Verdict check_ipv6(rte_mbuf* mbuf, Frame frame) noexcept {
    if (mbuf->data_len < frame.l3_offset + kIpv6Len)
        return Drop::too_short;
    const auto* ip = &frame.l3<rte_ipv6_hdr>();
    if ((rte_be_to_cpu_32(ip->vtc_flow) >> 28) != 6)
        return Drop::bad_ip_header;
    const uint32_t ip_len = kIpv6Len + uint32_t{rte_be_to_cpu_16(ip->payload_len)};
    if (const Verdict verdict = trim(mbuf, frame.l3_offset, ip_len); !verdict.is_sound())
        return verdict;
    const IpAddress source = IpAddress::v6(ip->src_addr);
    return source.is_multicast() || source.is_loopback() ? Drop::martian_source : kSound;
}

// A multicast router asks who listens to what (RFC 3810, section 5.1): the ICMPv6 message stands
// behind a hop-by-hop header with the router alert.
inline bool is_mld_query(rte_mbuf* mbuf, Frame frame) noexcept {
    constexpr uint16_t kHopByHopLen = 8;
    const auto* ip = &frame.l3<rte_ipv6_hdr>();
    if (ip->proto != IPPROTO_HOPOPTS || ip->hop_limits != 1 ||
        mbuf->data_len < frame.l3_offset + kIpv6Len + kHopByHopLen + sizeof(IcmpHeader))
        return false;
    const auto* options = reinterpret_cast<const uint8_t*>(ip + 1);
    return options[0] == kProtoIcmp6 && options[1] == 0 && options[kHopByHopLen] == kIcmp6MldQuery;
}

inline bool is_neighbor_discovery(rte_mbuf* mbuf, Frame frame) noexcept {
    const auto* ip = &frame.l3<rte_ipv6_hdr>();
    if (ip->proto != kProtoIcmp6 || ip->hop_limits != kNeighborHopLimit ||
        mbuf->data_len < frame.l3_offset + kIpv6Len + sizeof(IcmpHeader))
        return false;
    const uint8_t type = reinterpret_cast<const IcmpHeader*>(ip + 1)->type;
    return type >= kIcmp6RouterSolicit && type <= kIcmp6Redirect;
}

// Everything up to the IP packet, for both sides: Ethernet, VLAN, destination MAC, the IP header.
// IPv4 and IPv6 packets end where their header says.
inline Verdict check_frame(Frame& frame, rte_mbuf* mbuf, const FrameFilter& filter) noexcept {
    if (const Verdict verdict = parse_ethernet(frame, mbuf, filter); !verdict.is_sound())
        return verdict;
    switch (frame.ether_type) {
        case RTE_ETHER_TYPE_IPV4:
            return check_ipv4(mbuf, frame);
        case RTE_ETHER_TYPE_IPV6:
            return check_ipv6(mbuf, frame);
        case RTE_ETHER_TYPE_ARP:
            return kSound;
        default:
            return Drop::unknown_ethertype;
    }
}

// ARP, neighbour discovery and MLD queries: for control, not for the stages.
inline bool resolves_neighbors(rte_mbuf* mbuf, Frame frame) noexcept {
    return frame.ether_type != RTE_ETHER_TYPE_IPV4 &&
           (frame.ether_type == RTE_ETHER_TYPE_ARP || is_neighbor_discovery(mbuf, frame) ||
            is_mld_query(mbuf, frame));
}

inline bool is_ours_v4(const PortView& view, uint32_t address_be) noexcept {
    for (const IpAddress& address : view.addresses) {
        if (address.is_v4() && address.v4_be() == address_be)
            return true;
    }
    return false;
}

inline bool is_ours_v6(const PortView& view, const uint8_t* address) noexcept {
    for (const IpAddress& own : view.addresses) {
        if (own.is_v6() && std::memcmp(own.bytes.data(), address, 16) == 0)
            return true;
    }
    return false;
}

}  // namespace meshgate
