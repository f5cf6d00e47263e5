// SPDX-License-Identifier: Apache-2.0

// In:    transport data messages, data at the message.
// Out:   the same with their keypair and counter, all owned by this worker; `relayed` with the link
//        that leads on, whoever owns what: their indices are chosen by others, and mean no worker.
// Hands over: messages for a keypair that another worker owns, so that a replay window has one
//        writer; that worker looks up again, because a keypair may leave while a packet waits.
// Drops: unknown_index, expired_key, handover_full.

#include "dataplane/path/stages.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

// Prefetches what the stages behind the AEAD read of the session and its peer.
bool accept(Worker& worker, rte_mbuf* mbuf, Keypair* keypair) noexcept {
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

// Prefetches the link's headers and counters.
void lead_on(const Worker& worker, rte_mbuf* mbuf, LinkId id, Batch& relayed) noexcept {
    PacketMeta& meta = meta_of(mbuf);
    meta.link = worker.shared.links[id].load(std::memory_order_acquire);
    meta.link_id = id;
    rte_prefetch0(meta.link);
    // As a number: a link may be null.
    rte_prefetch0(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(meta.link) +
                                                RTE_CACHE_LINE_SIZE));
    rte_prefetch0(&worker.parts.links[id]);
    relayed.push(mbuf);
}

void fetch_session(const Keypair* keypair) noexcept {
    if (keypair == nullptr)
        return;
    rte_prefetch0(&keypair->reject_after_tsc);
    rte_prefetch0(&keypair->receive_key);
}

}  // namespace

void index_stage(Worker& worker, Batch& batch, Batch& relayed) noexcept {
    assert(batch.size() <= kBurst);  // nothing was cut yet
    std::array<uint32_t, kBurst> indices;
    std::array<IndexEntry, kBurst> entries;
    for (uint16_t i = 0; i < batch.size(); ++i)
        indices[i] = rte_le_to_cpu_32(header_at<TransportHeader>(batch[i])->receiver_index_le);
    worker.shared.index->find({entries.data(), batch.size()}, {indices.data(), batch.size()});
    for (uint16_t i = 0; i < batch.size(); ++i)
        fetch_session(entries[i].keypair());
    uint16_t next = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        const IndexEntry entry = entries[next];
        const unsigned owner = worker_of(indices[next++]);
        if (Keypair* const keypair = entry.keypair()) {
            if (owner == worker.id())
                return accept(worker, mbuf, keypair);
            worker.hand_over(mbuf, owner, Resume::open);
        } else if (entry.kind() == IndexEntry::Kind::relay) {
            lead_on(worker, mbuf, entry.link(), relayed);
        } else {
            worker.drop(mbuf, Drop::unknown_index);
        }
        return false;
    });
}

}  // namespace meshgate
