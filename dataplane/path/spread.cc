// SPDX-License-Identifier: Apache-2.0

// In:    overlay packets of a LAN port, data at the IP header.
// Out:   those that this worker carries on with.
// Hands over: where the port has fewer receive queues than there are workers, flows are spread over
//        all of them by a hash of their addresses and ports, so that each flow keeps its order.
// Drops: handover_full.

#include <rte_hash_crc.h>

#include "dataplane/path/stages.h"
#include "dataplane/ports/port.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

uint32_t hash_ports(rte_mbuf* mbuf, uint16_t l4_offset, uint8_t proto, uint32_t hash) noexcept {
    const bool has_ports = proto == kProtoTcp || proto == kProtoUdp;
    if (!has_ports || mbuf->data_len < l4_offset + sizeof(uint32_t))
        return hash;
    return rte_hash_crc(header_at<uint8_t>(mbuf, l4_offset), sizeof(uint32_t), hash);
}

// Fragments carry no ports: all packets of a fragmented flow's addresses go one way instead.
uint32_t flow_hash(rte_mbuf* mbuf) noexcept {
    if (ip_version(mbuf) == 4) {
        const auto* ip = header_at<rte_ipv4_hdr>(mbuf);
        const uint32_t hash = rte_hash_crc(&ip->src_addr, 8, ip->next_proto_id);
        if (is_ipv4_fragment(*ip))
            return hash;
        return hash_ports(mbuf, rte_ipv4_hdr_len(ip), ip->next_proto_id, hash);
    }
    const auto* ip = header_at<rte_ipv6_hdr>(mbuf);
    const uint32_t hash = rte_hash_crc(ip->src_addr, 32, ip->proto);
    return hash_ports(mbuf, kIpv6Len, ip->proto, hash);
}

}  // namespace

void spread_stage(Worker& worker, Batch& batch) noexcept {
    if (batch.empty())
        return;
    const Port& port = *worker.shared.ports[meta_of(batch[0]).arrival_port];
    const unsigned nb_workers = worker.nb_workers();
    if (port.nb_rx_queues() >= nb_workers)
        return;  // the port's own RSS did it
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        const unsigned owner = flow_hash(mbuf) % nb_workers;
        if (owner == worker.id())
            return true;
        worker.hand_over(mbuf, owner, Resume::route);
        return false;
    });
}

}  // namespace meshgate
