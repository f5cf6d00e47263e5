// SPDX-License-Identifier: Apache-2.0

// In:    transport data messages, data at the message.
// Out:   the same with their keypair and counter, all owned by this worker.
// Hands over: messages whose receiver index names another worker, so that a replay window has one
//        writer; that worker looks up again, because a keypair may leave while a packet waits.
// Drops: unknown_index, expired_key, handover_full.

#include "dataplane/stages.h"
#include "dataplane/wire.h"

namespace meshgate {

namespace {

// Asks for what the stages behind the AEAD will want of the session and its peer.
bool accept(Worker& worker, rte_mbuf* mbuf, IndexEntry entry) noexcept {
    Keypair* keypair = entry.keypair();
    if (keypair == nullptr) {
        worker.drop(mbuf, Drop::unknown_index);
        return false;
    }
    PacketMeta& meta = meta_of(mbuf);
    meta.keypair = keypair;
    meta.counter = rte_le_to_cpu_64(header_at<TransportHeader>(mbuf)->counter_le);
    if (worker.now_tsc >= keypair->reject_after_tsc || meta.counter >= kRejectAfterMessages) {
        worker.drop(mbuf, Drop::expired_key);
        return false;
    }
    keypair->replay.prefetch(meta.counter);
    rte_prefetch0(&worker.shared.peers[keypair->peer]);
    rte_prefetch0(&worker.parts.activity[keypair->peer].rx_packets);
    return true;
}

}  // namespace

void index_stage(Worker& worker, Batch& batch) noexcept {
    const unsigned nb_workers = worker.nb_workers();
    assert(batch.size() <= kBurst);  // nothing was cut yet
    std::array<uint32_t, kBurst> indices;
    uint16_t nb_ours = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        const uint32_t index =
            rte_le_to_cpu_32(header_at<TransportHeader>(mbuf)->receiver_index_le);
        const unsigned owner = worker_of(index);
        if (owner != worker.id() && owner < nb_workers) {
            worker.hand_over(mbuf, owner, Resume::open);
            return false;
        }
        indices[nb_ours++] = index;
        return true;
    });
    std::array<IndexEntry, kBurst> entries;
    worker.shared.index->find({entries.data(), nb_ours}, {indices.data(), nb_ours});
    for (uint16_t i = 0; i < nb_ours; ++i) {
        const Keypair* keypair = entries[i].keypair();
        if (keypair == nullptr)
            continue;
        rte_prefetch0(&keypair->reject_after_tsc);
        rte_prefetch0(&keypair->receive_key);
    }
    uint16_t next = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept { return accept(worker, mbuf, entries[next++]); });
}

}  // namespace meshgate
