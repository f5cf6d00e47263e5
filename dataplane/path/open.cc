// SPDX-License-Identifier: Apache-2.0

// In:    transport data messages with their keypair.
// Out:   authenticated plaintext, padding included, data at its first byte. The whole burst goes to
//        the AEAD engine as one batch, whatever sessions it holds.
// Drops: bad_tag. Nothing of a packet is believed before its tag verified.

#include "dataplane/path/stages.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

void open_stage(Worker& worker, Batch& batch) noexcept {
    AeadJob* jobs = worker.stage_state.aead.jobs.data();
    for (uint16_t i = 0; i < batch.size(); ++i) {
        rte_mbuf* mbuf = batch[i];
        const PacketMeta& meta = meta_of(mbuf);
        jobs[i] = AeadJob{.key = meta.keypair->receive_key.data(),
                          .counter = meta.counter,
                          .data = header_at<uint8_t>(mbuf, sizeof(TransportHeader)),
                          .len = mbuf->data_len - uint32_t{sizeof(TransportHeader)},
                          .ok = false};
        rte_prefetch0(worker.shared.peers[meta.keypair->peer].path.load(std::memory_order_relaxed));
    }
    worker.parts.aead->open({jobs, batch.size()});
    uint16_t next = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        if (!jobs[next++].ok) {
            worker.drop(mbuf, Drop::bad_tag);
            return false;
        }
        const size_t overhead_len = sizeof(TransportHeader) + kTagLen;
        narrow(mbuf, sizeof(TransportHeader), static_cast<uint16_t>(mbuf->data_len - overhead_len));
        return true;
    });
}

}  // namespace meshgate
