// SPDX-License-Identifier: Apache-2.0

// In:    whole frames with their departure port.
// Out:   the port's transmit queue, or the inbox of the worker that owns one.
// Drops: tx_full, handover_full.

#include "dataplane/stages.h"

namespace meshgate {

void tx_stage(Worker& worker, Batch& batch) noexcept {
    for (rte_mbuf* mbuf : batch)
        worker.transmit(mbuf, meta_of(mbuf).departure_port);
    batch.clear();
}

}  // namespace meshgate
