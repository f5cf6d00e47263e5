// SPDX-License-Identifier: Apache-2.0

// In:    inner IP packets and the peer that sent each.
// Out:   those whose source belongs to that peer: the longest-prefix match of the source in the
// same
//        table that routes to it must lead to the peer (W40).
// Drops: source_not_allowed.

#include "dataplane/route_lookup.h"
#include "dataplane/stages.h"

namespace meshgate {

void source_check_stage(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept {
    ForwardIndices forwards;
    look_up(forwards, *snapshot.fib, batch, AddressField::source);
    uint16_t next = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        const ForwardingEntry& entry = snapshot.entries[forwards[next++]];
        if (entry.kind == ForwardKind::peer && entry.peer == meta_of(mbuf).from_peer)
            return true;
        worker.drop(mbuf, Drop::source_not_allowed);
        return false;
    });
}

}  // namespace meshgate
