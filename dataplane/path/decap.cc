// SPDX-License-Identifier: Apache-2.0

// In:    authenticated, fresh plaintexts, padding included.
// Out:   inner IP packets with sound headers and no padding.
// Notes: the first packet of a keypair (W27); a packet from another endpoint, of a peer that roams
//        (W39), before anything else about the packet is judged.
// Drops: keepalive (consumed), bad_inner.

#include "dataplane/path/stages.h"
#include "dataplane/wire/outer.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

// At most one roaming note per peer and interval: a burst from a new endpoint is one event.
constexpr uint64_t kRoamingNotesPerSecond = 200;

// True when the datagram came by the link that the peer's own datagrams leave by. Compares what is
// on the wire: nearly every packet ends here.
bool came_by(const Link& link, rte_mbuf* mbuf) noexcept {
    const uint8_t* l3 = outer_l3(mbuf);
    if (link.port != meta_of(mbuf).arrival_port || link.outer_ipv6 != ((*l3 >> 4) == 6))
        return false;
    uint16_t l4_offset = kIpv6Len;
    if (link.outer_ipv6) {
        const auto* ip = reinterpret_cast<const rte_ipv6_hdr*>(l3);
        if (std::memcmp(ip->src_addr, link.remote.address.bytes.data(), 16) != 0 ||
            std::memcmp(ip->dst_addr, link.local.address.bytes.data(), 16) != 0)
            return false;
    } else {
        const auto* ip = reinterpret_cast<const rte_ipv4_hdr*>(l3);
        if (ip->src_addr != link.remote.address.v4_be() ||
            ip->dst_addr != link.local.address.v4_be())
            return false;
        l4_offset = rte_ipv4_hdr_len(ip);
    }
    const auto* udp = reinterpret_cast<const rte_udp_hdr*>(l3 + l4_offset);
    return udp->src_port == rte_cpu_to_be_16(link.remote.port);
}

void note_roaming(Worker& worker, rte_mbuf* mbuf, PeerId peer, PeerSlot& slot) noexcept {
    if (slot.path_is_fixed.load(std::memory_order_relaxed))
        return;
    const uint64_t noted_tsc = slot.roaming_noted_tsc.load(std::memory_order_relaxed);
    if (worker.now_tsc - noted_tsc < worker.shared.tsc_hz / kRoamingNotesPerSecond)
        return;
    const OuterEndpoints seen = outer_endpoints(mbuf);
    if (worker.note(Note{.kind = Note::Kind::endpoint_moved,
                         .port = meta_of(mbuf).arrival_port,
                         .peer = peer,
                         .local_index = meta_of(mbuf).keypair->local_index,
                         .remote = seen.remote,
                         .local = seen.local,
                         .tsc = worker.now_tsc}))
        slot.roaming_noted_tsc.store(worker.now_tsc, std::memory_order_relaxed);
}

void note_confirmed(Worker& worker, Keypair& keypair) noexcept {
    const bool noted = worker.note(Note{.kind = Note::Kind::confirmed,
                                        .peer = keypair.peer,
                                        .local_index = keypair.local_index,
                                        .tsc = worker.now_tsc});
    keypair.confirmed.store(noted, std::memory_order_relaxed);
}

void note_authenticated(Worker& worker, rte_mbuf* mbuf) noexcept {
    const PacketMeta& meta = meta_of(mbuf);
    Keypair& keypair = *meta.keypair;
    PeerActivity& activity = worker.parts.activity[keypair.peer];
    activity.rx_packets.add(1);
    activity.rx_bytes.add(meta.outer_len);
    activity.last_any_rx_tsc.set(worker.now_tsc);
    if (mbuf->data_len != 0)
        activity.last_data_rx_tsc.set(worker.now_tsc);
    PeerSlot& slot = worker.shared.peers[keypair.peer];
    const Link* link = slot.path.load(std::memory_order_acquire);
    if (link == nullptr || !came_by(*link, mbuf))
        note_roaming(worker, mbuf, keypair.peer, slot);
    if (!keypair.confirmed.load(std::memory_order_relaxed))
        note_confirmed(worker, keypair);
}

// W41: congestion met on the underlay is passed on where the inner packet can carry it.
void take_over_ecn_v4(rte_ipv4_hdr& ip) noexcept {
    const uint8_t before = ip.type_of_service;
    if ((before & kEcnMask) == 0 || (before & kEcnMask) == kEcnCe)
        return;
    ip.type_of_service = before | kEcnCe;
    ip.hdr_checksum = adjust_checksum(ip.hdr_checksum, rte_cpu_to_be_16(before),
                                      rte_cpu_to_be_16(ip.type_of_service));
}

void take_over_ecn_v6(rte_ipv6_hdr& ip) noexcept {
    if ((ipv6_traffic_class(ip) & kEcnMask) != 0)
        ip.vtc_flow |= rte_cpu_to_be_32(uint32_t{kEcnCe} << 20);
}

// W40. True: a whole packet, trimmed to its own length.
bool accept_ipv4(rte_mbuf* mbuf) noexcept {
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf);
    if (mbuf->data_len < kIpv4Len)
        return false;
    const uint16_t header_len = rte_ipv4_hdr_len(ip);
    const uint16_t total_len = rte_be_to_cpu_16(ip->total_length);
    if (header_len < kIpv4Len || total_len < header_len || total_len > mbuf->data_len)
        return false;
    narrow(mbuf, 0, total_len);
    return ipv4_checksum_right(ip, header_len);
}

bool accept_ipv6(rte_mbuf* mbuf) noexcept {
    if (mbuf->data_len < kIpv6Len)
        return false;
    const uint32_t total_len =
        kIpv6Len + uint32_t{rte_be_to_cpu_16(header_at<rte_ipv6_hdr>(mbuf)->payload_len)};
    if (total_len > mbuf->data_len)
        return false;
    narrow(mbuf, 0, static_cast<uint16_t>(total_len));
    return true;
}

bool accept_inner(rte_mbuf* mbuf) noexcept {
    const bool congested = (meta_of(mbuf).outer_tos & kEcnMask) == kEcnCe;
    switch (ip_version(mbuf)) {
        case 4:
            if (!accept_ipv4(mbuf))
                return false;
            if (congested)
                take_over_ecn_v4(*header_at<rte_ipv4_hdr>(mbuf));
            return true;
        case 6:
            if (!accept_ipv6(mbuf))
                return false;
            if (congested)
                take_over_ecn_v6(*header_at<rte_ipv6_hdr>(mbuf));
            return true;
        default:
            return false;
    }
}

}  // namespace

void decap_stage(Worker& worker, Batch& batch) noexcept {
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        note_authenticated(worker, mbuf);
        meta.from_peer = meta.keypair->peer;
        const bool keepalive = mbuf->data_len == 0;
        if (!keepalive && accept_inner(mbuf))
            return true;
        worker.drop(mbuf, keepalive ? Drop::keepalive : Drop::bad_inner);
        return false;
    });
}

}  // namespace meshgate
