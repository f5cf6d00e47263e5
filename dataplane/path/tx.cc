// SPDX-License-Identifier: Apache-2.0

// In:    whole frames with their departure port.
// Out:   the port's transmit queue, or the inbox of the worker that owns one.
// Drops: tx_full, handover_full.

#include "dataplane/path/stages.h"

namespace meshgate {

void tx_stage(Worker& worker, Batch& batch) noexcept {
    for (uint16_t i = 0; i < batch.size();) {
        const PortId port = meta_of(batch[i]).departure_port;
        uint16_t end = i + 1;
        while (end < batch.size() && meta_of(batch[end]).departure_port == port)
            ++end;
        worker.transmit({batch.begin() + i, batch.begin() + end}, port);
        i = end;
    }
    batch.clear();
}

}  // namespace meshgate
