// SPDX-License-Identifier: Apache-2.0

// In:    frames of a wan port, data at the Ethernet header.
// Out:   transport data messages, data at the message, the outer header readable in front of it;
//        `fragments` of UDP datagrams for us, data at the Ethernet header.
// Punts: ARP, neighbour discovery, handshakes, echo requests to underlay addresses, ICMP errors
//        about our datagrams. Of ARP and neighbour discovery the machine's kernel has copies.
// Hands over: fragments that another worker puts together.
// Host:  what else is for the machine, where the port has a twin.
// Drops: everything else; nothing of it is answered.

#include <algorithm>
#include <array>

#include "dataplane/path/host.h"
#include "dataplane/path/punt.h"
#include "dataplane/path/stages.h"
#include "dataplane/wire/plain_frames.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

struct Outer {
    uint16_t l4_offset = 0;
    uint8_t proto = 0;
    uint8_t tos = 0;
    bool v6 = false;
    bool fragment = false;
};

Verdict parse_outer_ipv4(Outer& outer, const PortView& view, rte_mbuf* mbuf,
                         uint16_t l3_offset) noexcept {
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf, l3_offset);
    outer = Outer{.l4_offset = static_cast<uint16_t>(l3_offset + rte_ipv4_hdr_len(ip)),
                  .proto = ip->next_proto_id,
                  .tos = ip->type_of_service,
                  .v6 = false,
                  .fragment = is_ipv4_fragment(*ip)};
    return is_ours_v4(view, ip->dst_addr) ? kSound : Drop::not_for_us;
}

Verdict parse_outer_ipv6(Outer& outer, const PortView& view, rte_mbuf* mbuf,
                         uint16_t l3_offset) noexcept {
    const auto* ip = header_at<rte_ipv6_hdr>(mbuf, l3_offset);
    outer = Outer{.l4_offset = static_cast<uint16_t>(l3_offset + kIpv6Len),
                  .proto = ip->proto,
                  .tos = ipv6_traffic_class(*ip),
                  .v6 = true};
    if (IpAddress::v6(ip->src_addr).is_unspecified())
        return Drop::martian_source;
    if (ip->proto == kProtoFragment) {
        if (mbuf->data_len < outer.l4_offset + sizeof(FragmentHeader))
            return Drop::too_short;
        outer.fragment = true;
        outer.proto = header_at<FragmentHeader>(mbuf, outer.l4_offset)->next_header;
    }
    return is_ours_v6(view, ip->dst_addr) ? kSound : Drop::not_for_us;
}

// UDP as W02 and W44 want it: bytes behind the datagram are cut, a zero checksum is for IPv4 only.
// The sum itself is not verified: every message that counts is authenticated.
Verdict check_udp(rte_mbuf* mbuf, Outer outer, const Snapshot& snapshot) noexcept {
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
    if (outer.v6 && udp->dgram_cksum == 0)
        return Drop::bad_udp;
    narrow(mbuf, 0, static_cast<uint16_t>(outer.l4_offset + udp_len));
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

// Who speaks to whom: what a handshake has to be answered by.
void note_endpoints(PacketInfo& info, rte_mbuf* mbuf, Frame frame, Outer outer) noexcept {
    const auto* ip4 = header_at<rte_ipv4_hdr>(mbuf, frame.l3_offset);
    const auto* ip6 = header_at<rte_ipv6_hdr>(mbuf, frame.l3_offset);
    const auto* udp = header_at<rte_udp_hdr>(mbuf, outer.l4_offset);
    info.remote = Endpoint{outer.v6 ? IpAddress::v6(ip6->src_addr) : IpAddress::v4(ip4->src_addr),
                           rte_be_to_cpu_16(udp->src_port)};
    info.local = Endpoint{outer.v6 ? IpAddress::v6(ip6->dst_addr) : IpAddress::v4(ip4->dst_addr),
                          rte_be_to_cpu_16(udp->dst_port)};
}

// Of an initiation or a response, which end in mac2; a cookie reply has none.
HandshakeGate::Mac2 mac2_of(rte_mbuf* mbuf, uint16_t offset) noexcept {
    constexpr uint16_t kMacLen = 16;
    constexpr std::array<uint8_t, kMacLen> kAbsent{};
    if (mbuf->data_len == offset + kCookieReplyLen)
        return HandshakeGate::Mac2::absent;
    const auto* mac2 = header_at<uint8_t>(mbuf, static_cast<uint16_t>(mbuf->data_len - kMacLen));
    // From the wire, against zeros: nothing here is secret.
    return std::memcmp(mac2, kAbsent.data(), kMacLen) == 0 ? HandshakeGate::Mac2::absent
                                                           : HandshakeGate::Mac2::present;
}

// True: transport data, stays in the batch.
bool accept_message(Worker& worker, rte_mbuf* mbuf, Frame frame, Outer outer) noexcept {
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
        narrow(mbuf, offset, meta.outer_len);
        return true;
    }
    note_endpoints(meta.info, mbuf, frame, outer);
    const HandshakeGate::Mac2 mac2 = mac2_of(mbuf, offset);
    if (!worker.stage_state.classify.handshakes.admit(meta.info.remote.address, mac2,
                                                      worker.now_tsc)) {
        worker.drop(mbuf, Drop::handshake_flood);
        return false;
    }
    punt_at(worker, mbuf, frame, offset, Punt::handshake);
    return false;
}

// Where nothing here has a use for it, the machine's kernel may.
void refuse(Worker& worker, rte_mbuf* mbuf, Frame frame, Drop reason) noexcept {
    if (!host_takes_frame(worker, mbuf, frame, reason))
        worker.drop(mbuf, reason);
}

// An ICMP error about a datagram from a listen port of ours.
bool quotes_wireguard(rte_mbuf* mbuf, Outer outer, const Snapshot& snapshot) noexcept {
    const uint32_t quote = outer.l4_offset + uint32_t{sizeof(IcmpHeader)};
    if (mbuf->data_len < quote + kIpv4Len)
        return true;  // control says what is wrong with it
    const auto* ip4 = header_at<rte_ipv4_hdr>(mbuf, static_cast<uint16_t>(quote));
    const uint16_t header_len = outer.v6 ? kIpv6Len : rte_ipv4_hdr_len(ip4);
    if (mbuf->data_len < quote + header_len + sizeof(uint32_t))
        return true;
    const auto* udp = header_at<rte_udp_hdr>(mbuf, static_cast<uint16_t>(quote + header_len));
    const auto& ports = snapshot.listen_ports;
    return std::find(ports.begin(), ports.end(), rte_be_to_cpu_16(udp->src_port)) != ports.end();
}

// ICMP to an underlay address: echo requests and errors about our datagrams go to control.
void take_underlay_icmp(Worker& worker, const Snapshot& snapshot, rte_mbuf* mbuf, Frame frame,
                        Outer outer) noexcept {
    if (mbuf->data_len < outer.l4_offset + sizeof(IcmpHeader)) {
        worker.drop(mbuf, Drop::too_short);
        return;
    }
    const uint8_t type = header_at<IcmpHeader>(mbuf, outer.l4_offset)->type;
    const bool about_path = type == (outer.v6 ? kIcmp6TooBig : kIcmpUnreachable);
    if (type == (outer.v6 ? kIcmp6EchoRequest : kIcmpEchoRequest))
        punt_at(worker, mbuf, frame, frame.l3_offset, Punt::icmp_to_us);
    else if (about_path && quotes_wireguard(mbuf, outer, snapshot))
        punt_at(worker, mbuf, frame, frame.l3_offset, Punt::underlay_icmp);
    else
        refuse(worker, mbuf, frame, Drop::not_for_us);
}

// A fragment for us goes to where those of its source are put together.
void take_fragment(Worker& worker, rte_mbuf* mbuf, Frame frame, Outer outer,
                   Batch& fragments) noexcept {
    if (outer.proto != kProtoUdp) {
        refuse(worker, mbuf, frame, Drop::not_for_us);
        return;
    }
    if (!take_fragment_share(worker)) {
        worker.drop(mbuf, Drop::fragment_flood);
        return;
    }
    PacketMeta& meta = meta_of(mbuf);
    meta.outer_l3_offset = static_cast<uint16_t>(mbuf->data_off + frame.l3_offset);
    meta.from_peer = kNoPeer;
    const unsigned owner = fragment_owner(worker, mbuf, frame.l3_offset);
    if (owner == worker.id())
        fragments.push(mbuf);
    else
        worker.hand_over(mbuf, owner, Resume::reassemble);
}

bool accept_outer(Worker& worker, const Snapshot& snapshot, const PortView& view, rte_mbuf* mbuf,
                  Frame frame, Batch& fragments) noexcept {
    Outer outer;
    Verdict verdict = frame.ether_type == RTE_ETHER_TYPE_IPV4
                          ? parse_outer_ipv4(outer, view, mbuf, frame.l3_offset)
                          : parse_outer_ipv6(outer, view, mbuf, frame.l3_offset);
    if (verdict.is_sound() && outer.fragment) {
        take_fragment(worker, mbuf, frame, outer, fragments);
        return false;
    }
    if (verdict.is_sound() && outer.proto == (outer.v6 ? kProtoIcmp6 : kProtoIcmp)) {
        take_underlay_icmp(worker, snapshot, mbuf, frame, outer);
        return false;
    }
    if (verdict.is_sound())
        verdict = outer.proto == kProtoUdp ? check_udp(mbuf, outer, snapshot) : Drop::not_for_us;
    if (verdict.is_sound())
        return accept_message(worker, mbuf, frame, outer);
    refuse(worker, mbuf, frame, verdict.reason());
    return false;
}

// Transport data in UDP and IPv4 that nothing is wrong with.
void take_plain(rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf, l3_offset);
    const auto* udp = reinterpret_cast<const rte_udp_hdr*>(ip + 1);
    PacketMeta& meta = meta_of(mbuf);
    meta.outer_l3_offset = static_cast<uint16_t>(mbuf->data_off + l3_offset);
    meta.outer_len = static_cast<uint16_t>(rte_be_to_cpu_16(udp->dgram_len) - kUdpLen);
    meta.outer_tos = ip->type_of_service;
    narrow(mbuf, static_cast<uint16_t>(l3_offset + kIpv4Len + kUdpLen), meta.outer_len);
}

}  // namespace

void classify_underlay_stage(Worker& worker, const Snapshot& snapshot, PortId port, Batch& batch,
                             Batch& fragments) noexcept {
    const FrameFilter filter{snapshot.ports[port]};
    const PlainFrames plain{worker.parts.min_vector_burst, snapshot, filter, batch,
                            judge_underlay_avx512};
    unsigned next = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        Frame frame;
        meta_of(mbuf).arrival_port = port;
        if (plain.is_plain(next++)) {
            take_plain(mbuf, plain.l3_offset());
            return true;
        }
        const Verdict verdict = check_frame(frame, mbuf, filter);
        if (verdict.is_sound() && !resolves_neighbors(mbuf, frame))
            return accept_outer(worker, snapshot, filter.view, mbuf, frame, fragments);
        if (!verdict.is_sound()) {
            refuse(worker, mbuf, frame, verdict.reason());
            return false;
        }
        copy_to_host(worker, mbuf, frame, filter.view);
        punt_resolution(worker, mbuf, frame);
        return false;
    });
}

}  // namespace meshgate
