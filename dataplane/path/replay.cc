// SPDX-License-Identifier: Apache-2.0

// In:    authenticated packets of sessions that this worker owns.
// Out:   first sightings.
// Drops: replayed. After decryption on purpose: a forged counter must not move the window (W38).

#include "dataplane/path/stages.h"

namespace meshgate {

void replay_stage(Worker& worker, Batch& batch) noexcept {
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        if (meta.keypair->replay.accept(meta.counter))
            return true;
        worker.drop(mbuf, Drop::replayed);
        return false;
    });
}

}  // namespace meshgate
