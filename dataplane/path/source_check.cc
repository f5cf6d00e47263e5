// SPDX-License-Identifier: Apache-2.0

// In:    inner IP packets and the peer that sent each.
// Out:   those whose source belongs to that peer: the longest-prefix match of the source in the
// same
//        table that routes to it must lead to the peer (W40).
// Punts: Babel, which comes from a link-local address and thus before all routes.
// Drops: source_not_allowed, mesh_flood.

#include "dataplane/path/mesh.h"
#include "dataplane/path/route_lookup.h"
#include "dataplane/path/stages.h"

namespace meshgate {

namespace {

bool is_from_link_local(rte_mbuf* mbuf) noexcept {
    return ip_version(mbuf) == 6 && is_link_local_v6(header_at<rte_ipv6_hdr>(mbuf)->src_addr);
}

}  // namespace

void source_check_stage(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept {
    ForwardIndices forwards;
    const uint16_t nb_v6 = look_up(forwards, *snapshot.fib, batch, AddressField::source);
    uint16_t next = 0;
    const auto is_allowed = [&](rte_mbuf* mbuf) noexcept {
        const ForwardingEntry& entry = snapshot.entries[forwards[next++]];
        if (entry.kind == ForwardKind::peer && entry.peer == meta_of(mbuf).from_peer)
            return true;
        worker.drop(mbuf, Drop::source_not_allowed);
        return false;
    };
    if (nb_v6 == 0) {
        batch.filter(is_allowed);
        return;
    }
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        if (!is_from_link_local(mbuf) || !takes_babel(worker, mbuf))
            return is_allowed(mbuf);
        ++next;
        return false;
    });
}

}  // namespace meshgate
