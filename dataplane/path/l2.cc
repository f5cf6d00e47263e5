// SPDX-License-Identifier: Apache-2.0

// In:    IP packets for a LAN port, with their forwarding entry.
// Out:   Ethernet frames to the next hop's MAC.
// Punts: unresolved_neighbor: control asks by ARP or ND, the packet waits there.
// Drops: no_headroom, sent_back.

#include "dataplane/path/stages.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

const MacAddress* find_next_hop(const NeighborTable& neighbors, rte_mbuf* mbuf,
                                const ForwardingEntry& entry) noexcept {
    if (entry.kind == ForwardKind::gateway)
        return neighbors.find(entry.port, entry.next_hop);
    return ip_version(mbuf) == 4
               ? neighbors.find_v4(entry.port, header_at<rte_ipv4_hdr>(mbuf)->dst_addr)
               : neighbors.find_v6(entry.port, header_at<rte_ipv6_hdr>(mbuf)->dst_addr);
}

// The packet waits in control until ARP or ND has found whom to send it to.
void wait_for_neighbor(Worker& worker, rte_mbuf* mbuf, const ForwardingEntry& entry) noexcept {
    PacketInfo& info = meta_of(mbuf).info;
    info.port = entry.port;
    info.next_hop = entry.next_hop;
    if (entry.kind != ForwardKind::gateway)
        info.next_hop = ip_version(mbuf) == 4
                            ? IpAddress::v4(header_at<rte_ipv4_hdr>(mbuf)->dst_addr)
                            : IpAddress::v6(header_at<rte_ipv6_hdr>(mbuf)->dst_addr);
    worker.punt(mbuf, Punt::unresolved_neighbor);
}

// An Ethernet header for all packets of one port and IP version; each adds its destination.
struct Prepared {
    std::array<uint8_t, kEtherLen + kVlanLen> header{};
    uint16_t len = kEtherLen;
};

Prepared prepare(const PortView& view, uint16_t ether_type) noexcept {
    Prepared result;
    auto* ether = reinterpret_cast<rte_ether_hdr*>(result.header.data());
    std::memcpy(&ether->src_addr, view.mac.bytes.data(), 6);
    ether->ether_type = rte_cpu_to_be_16(view.vlan == kNoVlan ? ether_type : RTE_ETHER_TYPE_VLAN);
    if (view.vlan == kNoVlan)
        return result;
    auto* tag = reinterpret_cast<rte_vlan_hdr*>(ether + 1);
    tag->vlan_tci = rte_cpu_to_be_16(vlan_tag(view.vlan, view.priority));
    tag->eth_proto = rte_cpu_to_be_16(ether_type);
    result.len = kEtherLen + kVlanLen;
    return result;
}

bool prepend_ethernet(rte_mbuf* mbuf, const Prepared& prepared,
                      const MacAddress& destination) noexcept {
    if (!prepend(mbuf, prepared.len))
        return false;
    mbuf->ol_flags = 0;
    auto* frame = header_at<uint8_t>(mbuf);
    std::memcpy(frame, prepared.header.data(), kEtherLen);
    std::memcpy(frame, destination.bytes.data(), destination.bytes.size());
    if (prepared.len > kEtherLen)
        std::memcpy(frame + kEtherLen, prepared.header.data() + kEtherLen, kVlanLen);
    return true;
}

// The headers of one port, made when a packet leaves by another one than the packet before.
struct PreparedPort {
    PortId port = kNoPort;
    bool one_arm = false;
    Prepared v4, v6;
};

// The router beside us has a route to us for what our own routes lead to it: it would come again
// until its hop limit ends.
bool goes_back(const PacketMeta& meta, const ForwardingEntry& entry,
               const MacAddress& next_hop) noexcept {
    return entry.kind == ForwardKind::gateway && meta.from_peer == kNoPeer &&
           meta.source_mac == next_hop;
}

}  // namespace

void l2_stage(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept {
    PreparedPort prepared;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        const ForwardingEntry& entry = snapshot.entries[meta_of(mbuf).forward];
        const MacAddress* mac = find_next_hop(*snapshot.neighbors, mbuf, entry);
        if (mac == nullptr) {
            wait_for_neighbor(worker, mbuf, entry);
            return false;
        }
        if (entry.port != prepared.port) {
            const PortView& view = snapshot.ports[entry.port];
            prepared = {.port = entry.port,
                        .one_arm = view.role == PortRole::one_arm,
                        .v4 = prepare(view, RTE_ETHER_TYPE_IPV4),
                        .v6 = prepare(view, RTE_ETHER_TYPE_IPV6)};
        }
        if (prepared.one_arm && goes_back(meta_of(mbuf), entry, *mac)) [[unlikely]] {
            worker.drop(mbuf, Drop::sent_back);
            return false;
        }
        if (prepend_ethernet(mbuf, ip_version(mbuf) == 4 ? prepared.v4 : prepared.v6, *mac))
            return true;
        worker.drop(mbuf, Drop::no_headroom);
        return false;
    });
}

}  // namespace meshgate
