// SPDX-License-Identifier: Apache-2.0

// In:    frames of a wan port, data at the Ethernet header.
// Out:   transport data messages, data at the message, the outer header readable in front of it.
// Punts: ARP, neighbour discovery, handshakes, echo requests to underlay addresses, ICMP errors
//        about our datagrams.
// Drops: everything else; nothing of it is answered.

#include <algorithm>

#include "dataplane/frame.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

namespace meshgate {

namespace {

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

}  // namespace meshgate
