// SPDX-License-Identifier: Apache-2.0

// In:    frames as received, data at the Ethernet header.
// Out:   underlay: transport data messages, data at the message, outer header in front of it;
//        overlay: IP packets with sound headers, data at the IP header, nothing behind the packet.
// Punts: ARP, neighbour discovery, handshakes, echo requests to underlay addresses, ICMP errors
//        about our datagrams.
// Drops: all that the network did not ask us to carry; see the reasons in api/drop.h.

#include <algorithm>

#include "dataplane/port.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

namespace meshgate {

namespace {

// What is wrong with a frame, or nb_reasons.
constexpr Drop kSound = Drop::nb_reasons;

struct Frame {
    uint16_t ether_type = 0;  // host order, behind a VLAN tag if there is one
    uint16_t l3_offset = 0;
    MacAddress destination;
    MacAddress source;
};

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

bool is_ours(const PortView& view, const IpAddress& address) noexcept {
    return std::find(view.addresses.begin(), view.addresses.end(), address) != view.addresses.end();
}

// Cuts what stands behind the IP packet: Ethernet padding, or bytes nobody accounts for.
Drop trim(rte_mbuf* mbuf, uint16_t l3_offset, uint32_t ip_len) noexcept {
    const uint32_t available = mbuf->data_len - l3_offset;
    if (ip_len > available)
        return Drop::truncated;
    rte_pktmbuf_trim(mbuf, static_cast<uint16_t>(available - ip_len));
    return kSound;
}

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

void punt_frame(Worker& worker, rte_mbuf* mbuf, const Frame& frame, Punt reason) noexcept {
    PacketInfo& info = meta_of(mbuf).info;
    info.source_mac = frame.source;
    info.vlan = kNoVlan;
    worker.punt(mbuf, reason);
}

void punt_at(Worker& worker, rte_mbuf* mbuf, const Frame& frame, uint16_t offset,
             Punt reason) noexcept {
    rte_pktmbuf_adj(mbuf, offset);
    punt_frame(worker, mbuf, frame, reason);
}

// ---- underlay ----

struct Outer {
    IpAddress source;
    IpAddress destination;
    uint16_t l4_offset = 0;
    uint8_t proto = 0;
    uint8_t tos = 0;
};

Drop parse_outer_ipv4(Outer& outer, rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    if (const Drop wrong = check_ipv4(mbuf, l3_offset); wrong != kSound)
        return wrong;
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf, l3_offset);
    if (is_ipv4_fragment(*ip))
        return Drop::outer_fragment;
    outer = Outer{.source = IpAddress::v4(ip->src_addr),
                  .destination = IpAddress::v4(ip->dst_addr),
                  .l4_offset = static_cast<uint16_t>(l3_offset + rte_ipv4_hdr_len(ip)),
                  .proto = ip->next_proto_id,
                  .tos = ip->type_of_service};
    return kSound;
}

Drop parse_outer_ipv6(Outer& outer, rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    const auto* ip = header_at<rte_ipv6_hdr>(mbuf, l3_offset);
    if (ip->proto == IPPROTO_FRAGMENT)
        return Drop::outer_fragment;
    outer = Outer{.source = IpAddress::v6(ip->src_addr),
                  .destination = IpAddress::v6(ip->dst_addr),
                  .l4_offset = static_cast<uint16_t>(l3_offset + kIpv6Len),
                  .proto = ip->proto,
                  .tos = ipv6_traffic_class(*ip)};
    return outer.source.is_unspecified() ? Drop::martian : kSound;
}

// UDP as W02 and W44 want it: bytes behind the datagram are cut, a zero checksum is for IPv4 only.
// The sum itself is not verified: every message that counts is authenticated.
Drop check_udp(rte_mbuf* mbuf, const Outer& outer, const Snapshot& snapshot) noexcept {
    const uint32_t available = mbuf->data_len - outer.l4_offset;
    if (available < kUdpLen)
        return Drop::too_short;
    const auto* udp = header_at<rte_udp_hdr>(mbuf, outer.l4_offset);
    const auto& ports = snapshot.listen_ports;
    if (std::find(ports.begin(), ports.end(), rte_be_to_cpu_16(udp->dst_port)) == ports.end())
        return Drop::not_wireguard;
    const uint16_t udp_len = rte_be_to_cpu_16(udp->dgram_len);
    if (udp_len < kUdpLen || udp_len > available || udp->src_port == 0)
        return Drop::bad_udp;
    if (outer.source.is_v6() && udp->dgram_cksum == 0)
        return Drop::bad_udp;
    rte_pktmbuf_trim(mbuf, static_cast<uint16_t>(available - udp_len));
    return kSound;
}

enum class Message : uint8_t { bad, handshake, transport };

Message message_at(rte_mbuf* mbuf, uint16_t offset) noexcept {
    const uint32_t len = mbuf->data_len - uint32_t{offset};
    if (len < sizeof(uint32_t))
        return Message::bad;
    uint32_t type_le = 0;
    std::memcpy(&type_le, header_at<uint8_t>(mbuf, offset), sizeof type_le);
    switch (rte_le_to_cpu_32(type_le)) {
        case kMessageInitiation:
            return len == kInitiationLen ? Message::handshake : Message::bad;
        case kMessageResponse:
            return len == kResponseLen ? Message::handshake : Message::bad;
        case kMessageCookieReply:
            return len == kCookieReplyLen ? Message::handshake : Message::bad;
        case kMessageTransport:
            return len >= kMinTransportLen ? Message::transport : Message::bad;
        default:
            return Message::bad;
    }
}

// True: transport data, stays in the batch.
bool accept_message(Worker& worker, rte_mbuf* mbuf, const Frame& frame,
                    const Outer& outer) noexcept {
    const uint16_t offset = outer.l4_offset + kUdpLen;
    const Message message = message_at(mbuf, offset);
    if (message == Message::bad) {
        worker.drop(mbuf, Drop::bad_message);
        return false;
    }
    PacketMeta& meta = meta_of(mbuf);
    if (message == Message::transport) {
        meta.outer_l3_offset = static_cast<uint16_t>(mbuf->data_off + frame.l3_offset);
        meta.outer_len = static_cast<uint16_t>(mbuf->data_len - offset);
        meta.outer_tos = outer.tos;
        rte_pktmbuf_adj(mbuf, offset);
        return true;
    }
    const auto* udp = header_at<rte_udp_hdr>(mbuf, outer.l4_offset);
    meta.info.remote = Endpoint{outer.source, rte_be_to_cpu_16(udp->src_port)};
    meta.info.local = Endpoint{outer.destination, rte_be_to_cpu_16(udp->dst_port)};
    punt_at(worker, mbuf, frame, offset, Punt::handshake);
    return false;
}

// ICMP to an underlay address: echo requests and errors about our datagrams go to control.
void take_underlay_icmp(Worker& worker, rte_mbuf* mbuf, const Frame& frame,
                        const Outer& outer) noexcept {
    if (mbuf->data_len < outer.l4_offset + sizeof(IcmpHeader)) {
        worker.drop(mbuf, Drop::too_short);
        return;
    }
    const uint8_t type = header_at<IcmpHeader>(mbuf, outer.l4_offset)->type;
    const bool v6 = outer.source.is_v6();
    if (type == (v6 ? kIcmp6EchoRequest : kIcmpEchoRequest))
        punt_at(worker, mbuf, frame, frame.l3_offset, Punt::icmp_to_us);
    else if (type == (v6 ? kIcmp6TooBig : kIcmpUnreachable))
        punt_at(worker, mbuf, frame, frame.l3_offset, Punt::underlay_icmp);
    else
        worker.drop(mbuf, Drop::not_for_us);
}

bool accept_outer(Worker& worker, const Snapshot& snapshot, const PortView& view, rte_mbuf* mbuf,
                  const Frame& frame) noexcept {
    Outer outer;
    const Drop wrong = frame.ether_type == RTE_ETHER_TYPE_IPV4
                           ? parse_outer_ipv4(outer, mbuf, frame.l3_offset)
                           : parse_outer_ipv6(outer, mbuf, frame.l3_offset);
    if (wrong != kSound) {
        worker.drop(mbuf, wrong);
        return false;
    }
    if (!is_ours(view, outer.destination)) {
        worker.drop(mbuf, Drop::not_for_us);
        return false;
    }
    if (outer.proto == (outer.source.is_v6() ? kProtoIcmp6 : kProtoIcmp)) {
        take_underlay_icmp(worker, mbuf, frame, outer);
        return false;
    }
    const Drop bad = outer.proto == kProtoUdp ? check_udp(mbuf, outer, snapshot) : Drop::not_for_us;
    if (bad != kSound) {
        worker.drop(mbuf, bad);
        return false;
    }
    return accept_message(worker, mbuf, frame, outer);
}

// ---- overlay ----

// Virtual ports deliver TCP and UDP whose checksum field holds the pseudo-header's sum only,
// because the sender's "NIC" was to finish it. Nobody else will: we do, before the packet leaves.
template <typename IpHeader, typename PseudoSum, typename FullSum>
void finish_checksum(rte_mbuf* mbuf, IpHeader* ip, uint16_t l4_offset, uint8_t proto,
                     PseudoSum pseudo_sum, FullSum full_sum) noexcept {
    const uint16_t field =
        proto == kProtoTcp ? offsetof(rte_tcp_hdr, cksum) : offsetof(rte_udp_hdr, dgram_cksum);
    if (mbuf->data_len < l4_offset + field + sizeof(uint16_t))
        return;
    uint8_t* position = header_at<uint8_t>(mbuf, static_cast<uint16_t>(l4_offset + field));
    uint16_t found = 0;
    std::memcpy(&found, position, sizeof found);
    if (found != pseudo_sum(ip))
        return;
    std::memset(position, 0, sizeof found);
    const uint16_t whole = full_sum(ip, header_at<uint8_t>(mbuf, l4_offset));
    std::memcpy(position, &whole, sizeof whole);
}

void finish_checksum_v4(rte_mbuf* mbuf) noexcept {
    auto* ip = header_at<rte_ipv4_hdr>(mbuf);
    const uint8_t proto = ip->next_proto_id;
    if ((proto != kProtoTcp && proto != kProtoUdp) || is_ipv4_fragment(*ip))
        return;
    finish_checksum(
        mbuf, ip, rte_ipv4_hdr_len(ip), proto,
        [](const rte_ipv4_hdr* header) { return rte_ipv4_phdr_cksum(header, 0); },
        [](const rte_ipv4_hdr* header, const void* l4) {
            return rte_ipv4_udptcp_cksum(header, l4);
        });
}

void finish_checksum_v6(rte_mbuf* mbuf) noexcept {
    auto* ip = header_at<rte_ipv6_hdr>(mbuf);
    const uint8_t proto = ip->proto;
    if (proto != kProtoTcp && proto != kProtoUdp)
        return;
    finish_checksum(
        mbuf, ip, kIpv6Len, proto,
        [](const rte_ipv6_hdr* header) { return rte_ipv6_phdr_cksum(header, 0); },
        [](const rte_ipv6_hdr* header, const void* l4) {
            return rte_ipv6_udptcp_cksum(header, l4);
        });
}

// Multicast and broadcast are not routed; neighbour discovery was taken out before.
Drop check_inner_destination(const PortView& view, const IpAddress& source,
                             const IpAddress& destination, const Frame& frame) noexcept {
    if (destination.is_multicast() || frame.destination.is_multicast())
        return Drop::multicast;
    if (destination.is_loopback() || destination.is_unspecified() || source.is_unspecified())
        return Drop::martian;
    return is_ours(view, source) ? Drop::martian : kSound;
}

bool accept_inner(Worker& worker, const PortView& view, const PortTraits& traits, rte_mbuf* mbuf,
                  const Frame& frame) noexcept {
    const bool v4 = frame.ether_type == RTE_ETHER_TYPE_IPV4;
    rte_pktmbuf_adj(mbuf, frame.l3_offset);
    Drop wrong = v4 ? check_ipv4(mbuf, 0) : kSound;
    if (wrong == kSound) {
        const IpAddress source = v4 ? IpAddress::v4(header_at<rte_ipv4_hdr>(mbuf)->src_addr)
                                    : IpAddress::v6(header_at<rte_ipv6_hdr>(mbuf)->src_addr);
        const IpAddress destination = v4 ? IpAddress::v4(header_at<rte_ipv4_hdr>(mbuf)->dst_addr)
                                         : IpAddress::v6(header_at<rte_ipv6_hdr>(mbuf)->dst_addr);
        wrong = check_inner_destination(view, source, destination, frame);
    }
    if (wrong != kSound) {
        worker.drop(mbuf, wrong);
        return false;
    }
    if (traits.finish_partial_checksums)
        v4 ? finish_checksum_v4(mbuf) : finish_checksum_v6(mbuf);
    PacketMeta& meta = meta_of(mbuf);
    meta.from_peer = kNoPeer;
    meta.info.source_mac = frame.source;
    return true;
}

// ---- both ----

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
            punt_frame(worker, mbuf, frame, Punt::arp);
            return false;
        case RTE_ETHER_TYPE_IPV6:
            break;
        default:
            worker.drop(mbuf, Drop::unknown_ethertype);
            return false;
    }
    if (!is_neighbor_discovery(mbuf, frame.l3_offset))
        return true;
    punt_frame(worker, mbuf, frame, Punt::neighbor_discovery);
    return false;
}

}  // namespace

void classify_underlay_stage(Worker& worker, const Snapshot& snapshot, PortId port,
                             Batch& batch) noexcept {
    const PortView& view = snapshot.ports[port];
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        Frame frame;
        meta_of(mbuf).arrival_port = port;
        return accept_frame(worker, mbuf, view, frame) &&
               accept_outer(worker, snapshot, view, mbuf, frame);
    });
}

void classify_overlay_stage(Worker& worker, const Snapshot& snapshot, PortId port,
                            Batch& batch) noexcept {
    const PortView& view = snapshot.ports[port];
    const PortTraits& traits = worker.shared.ports[port]->traits();
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        Frame frame;
        meta_of(mbuf).arrival_port = port;
        return accept_frame(worker, mbuf, view, frame) &&
               accept_inner(worker, view, traits, mbuf, frame);
    });
}

}  // namespace meshgate
