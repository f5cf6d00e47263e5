// SPDX-License-Identifier: Apache-2.0

// In:    IP packets that the machine's kernel sends into the network, data at the IP header.
// Out:   the same, to be routed as if a LAN host had sent them.
// Drops: source_not_allowed: what has not an address of ours as its source.
#include "dataplane/path/host.h"

#include <rte_arp.h>

#include "dataplane/path/route_lookup.h"
#include "dataplane/path/stages.h"
#include "dataplane/ports/port.h"
#include "dataplane/wire/partial_checksum.h"

namespace meshgate {

namespace {

bool finishes_checksums(const Worker& worker, PortId port) noexcept {
    return worker.shared.ports[port]->traits().finish_partial_checksums;
}

// The kernel's frames have no tag: its interface is this port, tag included.
void remove_tag(rte_mbuf* mbuf) noexcept {
    auto* frame = header_at<uint8_t>(mbuf);
    std::memmove(frame + kVlanLen, frame, 2 * sizeof(rte_ether_addr));
    rte_pktmbuf_adj(mbuf, kVlanLen);
}

// A host that asks for its first address has none yet.
bool is_from_nobody(Frame frame) noexcept {
    return frame.ether_type == RTE_ETHER_TYPE_IPV4 && frame.is_for_group() &&
           frame.l3<rte_ipv4_hdr>().src_addr == 0;
}

bool host_may_want(Frame frame, Drop reason) noexcept {
    switch (reason) {
        case Drop::multicast:
        case Drop::broadcast:
        case Drop::not_for_us:
        case Drop::not_wireguard:
        case Drop::unknown_ethertype:
            return true;
        case Drop::martian_source:
            return is_from_nobody(frame);
        default:
            return false;
    }
}

bool asks_for_ours(rte_mbuf* mbuf, Frame frame, const PortView& view) noexcept {
    if (frame.ether_type == RTE_ETHER_TYPE_ARP) {
        if (mbuf->data_len < frame.l3_offset + sizeof(rte_arp_hdr))
            return false;
        const auto& arp = frame.l3<rte_arp_hdr>();
        return arp.arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST) &&
               is_ours_v4(view, arp.arp_data.arp_tip);
    }
    constexpr uint8_t kNeighborSolicit = 135;
    const auto target = static_cast<uint16_t>(frame.l3_offset + kIpv6Len + sizeof(IcmpHeader));
    if (mbuf->data_len < target + sizeof(rte_ipv6_hdr::dst_addr))
        return false;
    const auto* icmp = header_at<IcmpHeader>(mbuf, frame.l3_offset + kIpv6Len);
    return icmp->type == kNeighborSolicit && is_ours_v6(view, header_at<uint8_t>(mbuf, target));
}

bool prepend_ethernet(Worker& worker, rte_mbuf* mbuf) noexcept {
    const MacAddress& mac = worker.shared.snapshot->read().ports[meta_of(mbuf).arrival_port].mac;
    const uint16_t type = ip_version(mbuf) == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6;
    if (!prepend(mbuf, kEtherLen))
        return false;
    auto* ether = header_at<rte_ether_hdr>(mbuf);
    std::memcpy(&ether->dst_addr, mac.bytes.data(), mac.bytes.size());
    std::memcpy(&ether->src_addr, meta_of(mbuf).source_mac.bytes.data(), mac.bytes.size());
    ether->ether_type = rte_cpu_to_be_16(type);
    return true;
}

}  // namespace

void give_frame_to_host(Worker& worker, rte_mbuf* mbuf, Frame frame) noexcept {
    const PortId port = meta_of(mbuf).arrival_port;
    const bool is_ip =
        frame.ether_type == RTE_ETHER_TYPE_IPV4 || frame.ether_type == RTE_ETHER_TYPE_IPV6;
    if (is_ip && finishes_checksums(worker, port)) {
        const uint16_t offset = frame.l3_offset;
        narrow(mbuf, offset, static_cast<uint16_t>(mbuf->data_len - offset));
        finish_partial_checksum(mbuf);
        [[maybe_unused]] const bool fits = prepend(mbuf, offset);
    }
    if (frame.l3_offset > kEtherLen)
        remove_tag(mbuf);
    worker.hand_up(mbuf, port);
}

bool host_takes_frame(Worker& worker, rte_mbuf* mbuf, Frame frame, Drop reason) noexcept {
    if (!worker.shared.host.has_twin(meta_of(mbuf).arrival_port) || !host_may_want(frame, reason))
        return false;
    give_frame_to_host(worker, mbuf, frame);
    return true;
}

bool host_takes_lease(Worker& worker, rte_mbuf* mbuf, Frame frame) noexcept {
    constexpr rte_be16_t kServer = RTE_BE16(67), kClient = RTE_BE16(68);
    if (frame.ether_type != RTE_ETHER_TYPE_IPV4 || frame.is_for_group() ||
        mbuf->data_len < frame.l3_offset + kIpv4Len + sizeof(rte_udp_hdr))
        return false;
    const auto& ip = frame.l3<rte_ipv4_hdr>();
    const auto& udp =
        *header_at<rte_udp_hdr>(mbuf, static_cast<uint16_t>(frame.l3_offset + kIpv4Len));
    if (ip.version_ihl != RTE_IPV4_VHL_DEF || ip.next_proto_id != kProtoUdp ||
        udp.src_port != kServer || udp.dst_port != kClient)
        return false;
    give_frame_to_host(worker, mbuf, frame);
    return true;
}

void copy_to_host(Worker& worker, rte_mbuf* mbuf, Frame frame, const PortView& view) noexcept {
    const PortId port = meta_of(mbuf).arrival_port;
    if (!worker.shared.host.has_twin(port) || asks_for_ours(mbuf, frame, view))
        return;
    rte_mbuf* const copy = rte_pktmbuf_copy(mbuf, worker.shared.pool, 0, UINT32_MAX);
    worker.counters.originated_packets.add(1);
    if (copy == nullptr) {
        worker.counters.drops.add(Drop::no_mbuf, worker.stage);
        return;
    }
    meta_of(copy) = PacketMeta{};
    meta_of(copy).arrival_port = port;
    if (frame.l3_offset > kEtherLen)
        remove_tag(copy);
    worker.hand_up(copy, port);
}

bool host_takes_packet(Worker& worker, rte_mbuf* mbuf) noexcept {
    const PacketMeta& meta = meta_of(mbuf);
    const bool from_lan = meta.from_peer == kNoPeer && meta.arrival_port != kNoPort;
    // The address of a port without one is on the network's interface.
    const bool by_twin = from_lan && worker.shared.host.has_twin(meta.arrival_port);
    if (!by_twin && !worker.shared.host.overlay)
        return false;
    if (by_twin && !prepend_ethernet(worker, mbuf))
        worker.drop(mbuf, Drop::no_headroom);
    else
        worker.hand_up(mbuf, by_twin ? meta.arrival_port : kNoPort);
    return true;
}

void from_host_stage(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept {
    for (rte_mbuf* mbuf : batch) {
        PacketMeta& meta = meta_of(mbuf);
        meta.from_peer = kNoPeer;
        meta.arrival_port = kNoPort;
    }
    ForwardIndices forwards;
    look_up(forwards, *snapshot.fib, batch, AddressField::source);
    uint16_t next = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        if (snapshot.entries[forwards[next++]].kind == ForwardKind::local)
            return true;
        worker.drop(mbuf, Drop::source_not_allowed);
        return false;
    });
}

}  // namespace meshgate
