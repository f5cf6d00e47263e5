// SPDX-License-Identifier: Apache-2.0

// In:    IP packets for a LAN port, with their forwarding entry.
// Out:   Ethernet frames to the next hop's MAC.
// Punts: unresolved_neighbor: control asks by ARP or ND, the packet waits there.
// Drops: no_mbuf (no headroom).

#include "dataplane/stages.h"
#include "dataplane/wire.h"

namespace meshgate {

namespace {

IpAddress next_hop_of(rte_mbuf* mbuf, const ForwardingEntry& entry) noexcept {
    if (entry.kind == ForwardKind::gateway)
        return entry.next_hop;
    return ip_version(mbuf) == 4 ? IpAddress::v4(header_at<rte_ipv4_hdr>(mbuf)->dst_addr)
                                 : IpAddress::v6(header_at<rte_ipv6_hdr>(mbuf)->dst_addr);
}

bool prepend_ethernet(rte_mbuf* mbuf, const PortView& view,
                      const MacAddress& destination) noexcept {
    const bool tagged = view.vlan != kNoVlan;
    const uint16_t ether_type = ip_version(mbuf) == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6;
    const uint16_t len = kEtherLen + (tagged ? kVlanLen : 0);
    if (rte_pktmbuf_prepend(mbuf, len) == nullptr)
        return false;
    mbuf->ol_flags = 0;
    auto* ether = header_at<rte_ether_hdr>(mbuf);
    std::memcpy(&ether->dst_addr, destination.bytes.data(), 6);
    std::memcpy(&ether->src_addr, view.mac.bytes.data(), 6);
    ether->ether_type = rte_cpu_to_be_16(tagged ? RTE_ETHER_TYPE_VLAN : ether_type);
    if (tagged) {
        auto* tag = header_at<rte_vlan_hdr>(mbuf, kEtherLen);
        tag->vlan_tci = rte_cpu_to_be_16(view.vlan);
        tag->eth_proto = rte_cpu_to_be_16(ether_type);
    }
    return true;
}

}  // namespace

void l2_stage(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept {
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        const ForwardingEntry& entry = snapshot.entries[meta.forward];
        const IpAddress next_hop = next_hop_of(mbuf, entry);
        const MacAddress* mac = snapshot.neighbors->find(entry.port, next_hop);
        if (mac == nullptr) {
            meta.info.next_hop = next_hop;
            meta.info.port = entry.port;
            worker.punt(mbuf, Punt::unresolved_neighbor);
            return false;
        }
        if (prepend_ethernet(mbuf, snapshot.ports[entry.port], *mac))
            return true;
        worker.drop(mbuf, Drop::no_mbuf);
        return false;
    });
}

}  // namespace meshgate
