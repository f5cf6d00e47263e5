// SPDX-License-Identifier: Apache-2.0

// In:    overlay IP packets with sound headers, data at the IP header.
// Out:   `to_peers` with the peer, `to_lan` with port and next hop, the hop limit of both lowered;
//        `errors` with the ICMP error to answer with. The batch is left empty.
// Punts: echo requests to our own addresses, mesh control messages of peers and their answers to
//        control's probes.
// Host:  all else for our own addresses, where the kernel has a way here.
// Drops: blackhole, local_no_listener (what may not be answered); broadcast, multicast, link_local,
//        martian, reserved, by destination.

#include <algorithm>

#include "dataplane/path/host.h"
#include "dataplane/path/punt_mesh.h"
#include "dataplane/path/route_lookup.h"
#include "dataplane/path/scope.h"
#include "dataplane/path/stages.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

void fail_with(rte_mbuf* mbuf, IcmpError error, Batch& errors) noexcept {
    meta_of(mbuf).error = error;
    errors.push(mbuf);
}

bool is_echo_fragment(rte_mbuf* mbuf) noexcept {
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf);
    return is_ipv4_fragment(*ip) && ip->next_proto_id == kProtoIcmp;
}

// Of a peer's echo request the pieces are put together; null while some are missing. A LAN host has
// no need of any.
rte_mbuf* reassemble_echo(Worker& worker, rte_mbuf* mbuf) noexcept {
    if (meta_of(mbuf).from_peer != kNoPeer)
        return reassemble_inner(worker, mbuf);
    if (host_takes_packet(worker, mbuf))
        return nullptr;
    worker.drop(mbuf, Drop::local_no_listener);
    return nullptr;
}

// Requests, and what peers answer to those of control; other answers are the kernel's.
bool is_for_control(rte_mbuf* mbuf, uint16_t l4_offset, bool v4) noexcept {
    if (mbuf->data_len < l4_offset + sizeof(IcmpHeader))
        return false;
    const auto* icmp = header_at<IcmpHeader>(mbuf, l4_offset);
    const uint8_t type = icmp->type;
    if (type == (v4 ? kIcmpEchoReply : kIcmp6EchoReply))
        return meta_of(mbuf).from_peer != kNoPeer &&
               rte_be_to_cpu_32(icmp->rest_be) >> 16 == kProbeIdentifier;
    return type == (v4 ? kIcmpEchoRequest : kIcmp6EchoRequest);
}

// Options that a node may pass over without knowing them (RFC 8200, section 4.2).
bool may_pass_over(std::span<const uint8_t> options) noexcept {
    size_t at = 0;
    while (at < options.size()) {
        if (options[at] == 0) {  // Pad1
            ++at;
            continue;
        }
        if (options[at] >> 6 != 0 || at + 1 == options.size())
            return false;
        at += size_t{2} + options[at + 1];
    }
    return at == options.size();
}

// Length of the hop-by-hop and destination options in front of an ICMPv6 message; 0 where there are
// none, or any that we would have to refuse.
uint16_t options_len_of(rte_mbuf* mbuf) noexcept {
    constexpr uint8_t kHopByHop = 0, kDestinationOptions = 60;
    constexpr unsigned kMostHeaders = 3;  // RFC 8200, section 4.1
    const std::span<const uint8_t> packet{header_at<uint8_t>(mbuf), mbuf->data_len};
    uint8_t next = header_at<rte_ipv6_hdr>(mbuf)->proto;
    size_t at = kIpv6Len;
    for (unsigned n = 0; n < kMostHeaders && at + 8 <= packet.size(); ++n) {
        if (next != kDestinationOptions && (next != kHopByHop || n != 0))
            break;
        const size_t len = (packet[at + 1] + size_t{1}) * 8;
        if (at + len > packet.size() || !may_pass_over(packet.subspan(at + 2, len - 2)))
            return 0;
        next = packet[at];
        at += len;
    }
    return next == kProtoIcmp6 ? static_cast<uint16_t>(at - kIpv6Len) : uint16_t{0};
}

// An echo reply has no need of the request's options.
void take_options_out(rte_mbuf* mbuf) noexcept {
    const uint16_t len = options_len_of(mbuf);
    if (len == 0)
        return;
    std::memmove(header_at<uint8_t>(mbuf, len), header_at<uint8_t>(mbuf), kIpv6Len);
    narrow(mbuf, len, static_cast<uint16_t>(mbuf->data_len - len));
    auto* ip = header_at<rte_ipv6_hdr>(mbuf);
    ip->proto = kProtoIcmp6;
    ip->payload_len =
        rte_cpu_to_be_16(static_cast<uint16_t>(rte_be_to_cpu_16(ip->payload_len) - len));
}

// For an address of ours: echo requests are answered by control, all else is the kernel's where it
// has a way here; where not, TCP and UDP are answered with "port unreachable", the rest with
// silence.
void deliver_locally(Worker& worker, rte_mbuf* mbuf, Batch& errors) noexcept {
    const bool v4 = ip_version(mbuf) == 4;
    if (v4 && is_echo_fragment(mbuf)) {
        mbuf = reassemble_echo(worker, mbuf);
        if (mbuf == nullptr)
            return;
    }
    if (!v4)
        take_options_out(mbuf);
    const auto* ip4 = header_at<rte_ipv4_hdr>(mbuf);
    const uint8_t proto = v4 ? ip4->next_proto_id : header_at<rte_ipv6_hdr>(mbuf)->proto;
    const uint16_t l4_offset = v4 ? rte_ipv4_hdr_len(ip4) : kIpv6Len;
    PacketMeta& meta = meta_of(mbuf);
    if (proto == (v4 ? kProtoIcmp : kProtoIcmp6) && is_for_control(mbuf, l4_offset, v4)) {
        meta.info.peer = meta.from_peer;
        meta.info.source_mac = meta.source_mac;
        worker.punt(mbuf, Punt::icmp_to_us);
        return;
    }
    if (!v4 && meta.from_peer != kNoPeer && takes_mesh_control(worker, mbuf))
        return;
    if (host_takes_packet(worker, mbuf))
        return;
    if (proto == kProtoTcp || proto == kProtoUdp)
        fail_with(mbuf, IcmpError::no_listener, errors);
    else
        worker.drop(mbuf, Drop::local_no_listener);
}

// True when the packet may travel on; lowers TTL or hop limit (RFC 1812, 5.3.1).
bool take_hop(rte_mbuf* mbuf) noexcept {
    if (ip_version(mbuf) == 6) {
        auto* ip = header_at<rte_ipv6_hdr>(mbuf);
        if (ip->hop_limits <= 1)
            return false;
        --ip->hop_limits;
        return true;
    }
    auto* ip = header_at<rte_ipv4_hdr>(mbuf);
    if (ip->time_to_live <= 1)
        return false;
    --ip->time_to_live;
    // TTL is the high byte of its 16-bit word: subtracting there adds 0x0100 to the checksum.
    const uint32_t sum = uint32_t{ip->hdr_checksum} + rte_cpu_to_be_16(0x0100);
    ip->hdr_checksum = static_cast<uint16_t>(sum + (sum >= 0xffff));
    return true;
}

// A link-local destination is reached on its link alone: by the port's own hosts where it is the
// port's, and by what the box itself sends there (nobody else gets here with a source of ours).
bool stays_on_link(const Snapshot& snapshot, const ForwardingEntry& entry, const PacketMeta& meta,
                   const IpAddress& source) noexcept {
    if (meta.from_peer != kNoPeer)
        return false;
    if (entry.kind == ForwardKind::local)
        return true;
    const bool on_a_port =
        entry.kind == ForwardKind::connected || entry.kind == ForwardKind::gateway;
    return on_a_port && std::ranges::count(snapshot.ports[entry.port].addresses, source) != 0;
}

// Whether the packet may go anywhere at all, wherever the route leads.
Verdict check_scope(const Snapshot& snapshot, const ForwardingEntry& entry,
                    rte_mbuf* mbuf) noexcept {
    const bool v4 = ip_version(mbuf) == 4;
    const auto* ip4 = header_at<rte_ipv4_hdr>(mbuf);
    const auto* ip6 = header_at<rte_ipv6_hdr>(mbuf);
    const IpAddress destination = v4 ? IpAddress::v4(ip4->dst_addr) : IpAddress::v6(ip6->dst_addr);
    const Verdict verdict = check_destination_scope(destination);
    if (verdict != Drop::link_local)
        return verdict;
    const IpAddress source = v4 ? IpAddress::v4(ip4->src_addr) : IpAddress::v6(ip6->src_addr);
    return stays_on_link(snapshot, entry, meta_of(mbuf), source) ? kSound : verdict;
}

void forward_to(Worker& worker, rte_mbuf* mbuf, const Snapshot& snapshot,
                const ForwardingEntry& entry, Routed& routed) noexcept {
    PacketMeta& meta = meta_of(mbuf);
    if (!take_hop(mbuf)) {
        fail_with(mbuf, IcmpError::ttl_expired, routed.errors);
        return;
    }
    meta.to_peer = entry.peer;
    meta.departure_port = entry.port;
    if (entry.kind == ForwardKind::peer) {
        rte_prefetch0(&worker.shared.peers[entry.peer]);
        rte_prefetch0(&worker.parts.activity[entry.peer]);
        routed.to_peers.push(mbuf);
        return;
    }
    meta.mtu_bytes = snapshot.ports[entry.port].mtu_bytes;
    routed.to_lan.push(mbuf);
}

}  // namespace

void route_stage(Worker& worker, const Snapshot& snapshot, Batch& batch, Routed& routed) noexcept {
    ForwardIndices forwards;
    const LookedUp looked_up = look_up(forwards, *snapshot.fib, batch, AddressField::destination);
    uint16_t next = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        const uint32_t forward = forwards[next++];
        const ForwardingEntry& entry = snapshot.entries[forward];
        meta_of(mbuf).forward = forward;
        if (looked_up.maybe_special) {
            if (const Verdict verdict = check_scope(snapshot, entry, mbuf); !verdict.is_sound()) {
                worker.drop(mbuf, verdict.reason());
                return false;
            }
        }
        switch (entry.kind) {
            case ForwardKind::no_route:
                fail_with(mbuf, IcmpError::no_route, routed.errors);
                break;
            case ForwardKind::blackhole:
                worker.drop(mbuf, Drop::blackhole);
                break;
            case ForwardKind::broadcast:
                worker.drop(mbuf, Drop::broadcast);
                break;
            case ForwardKind::local:
                deliver_locally(worker, mbuf, routed.errors);
                break;
            case ForwardKind::connected:
            case ForwardKind::gateway:
            case ForwardKind::peer:
                forward_to(worker, mbuf, snapshot, entry, routed);
                break;
        }
        return false;
    });
}

}  // namespace meshgate
