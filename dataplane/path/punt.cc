// SPDX-License-Identifier: Apache-2.0
#include "dataplane/path/punt.h"

namespace meshgate {

void punt_at(Worker& worker, rte_mbuf* mbuf, Frame frame, uint16_t offset, Punt reason) noexcept {
    PacketInfo& info = meta_of(mbuf).info;
    info.source_mac = frame.source();
    info.peer = kNoPeer;  // what came over the underlay is nobody's
    info.vlan = kNoVlan;
    rte_pktmbuf_adj(mbuf, offset);
    worker.punt(mbuf, reason);
}

void punt_resolution(Worker& worker, rte_mbuf* mbuf, Frame frame) noexcept {
    const bool arp = frame.ether_type == RTE_ETHER_TYPE_ARP;
    punt_at(worker, mbuf, frame, 0, arp ? Punt::arp : Punt::neighbor_discovery);
}

}  // namespace meshgate
