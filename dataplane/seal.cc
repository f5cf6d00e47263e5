// SPDX-License-Identifier: Apache-2.0

// In:    inner IP packets (or none: keepalives) with peer and link.
// Out:   transport data messages, data at the message. The whole burst is one AEAD batch.
// Punts: no_session: packets wait in control while a handshake runs. Nothing leaves in plaintext.
// Drops: no_session (keepalives), no_mbuf (no room behind the packet).

#include <algorithm>

#include "dataplane/stages.h"
#include "dataplane/wire.h"

namespace meshgate {

namespace {

// Counters are reserved by addition before they are known to be allowed. Stopping this far before
// the limit keeps all workers together from ever running past it, let alone around 2^64.
constexpr uint64_t kLastSafeCounter =
    kRejectAfterMessages - uint64_t{kMaxWorkers} * Batch::kCapacity;

// The session to send with, null when there is none any more (W30).
Keypair* usable_keypair(const Worker& worker, const PeerSlot& slot) noexcept {
    Keypair* keypair = slot.sending.load(std::memory_order_acquire);
    if (keypair == nullptr || worker.now_tsc >= keypair->reject_after_tsc)
        return nullptr;
    if (keypair->send_counter.load(std::memory_order_relaxed) >= kLastSafeCounter)
        return nullptr;
    return keypair;
}

void wait_for_session(Worker& worker, rte_mbuf* mbuf) noexcept {
    if (mbuf->data_len == 0) {
        worker.drop(mbuf, Drop::no_session);
        return;
    }
    meta_of(mbuf).info.peer = meta_of(mbuf).to_peer;
    worker.punt(mbuf, Punt::no_session);
}

// Pads (W04), makes room for header and tag, and says what the AEAD shall do.
bool prepare(AeadJob& job, rte_mbuf* mbuf) noexcept {
    const PacketMeta& meta = meta_of(mbuf);
    const uint16_t inner_len = mbuf->data_len;
    const auto aligned_len =
        static_cast<uint16_t>((inner_len + kPadding - 1) / kPadding * kPadding);
    const uint16_t padded_len = std::max(inner_len, std::min(aligned_len, meta.mtu_bytes));
    const auto added_len = static_cast<uint16_t>(padded_len - inner_len + kTagLen);
    char* tail = rte_pktmbuf_append(mbuf, added_len);
    if (tail == nullptr || rte_pktmbuf_prepend(mbuf, sizeof(TransportHeader)) == nullptr)
        return false;
    std::memset(tail, 0, added_len);
    auto* header = header_at<TransportHeader>(mbuf);
    header->type_le = rte_cpu_to_le_32(kMessageTransport);
    header->receiver_index_le = meta.keypair->remote_index_le;
    job.key = meta.keypair->send_key.data();
    job.data = header_at<uint8_t>(mbuf, sizeof(TransportHeader));
    job.len = padded_len;
    return true;
}

// W41: the outer header shows the inner ECN, CE as ECT(0); DSCP stays inside.
uint8_t outer_tos_for(rte_mbuf* mbuf) noexcept {
    if (mbuf->data_len == 0)
        return 0;
    const uint8_t inner = ip_version(mbuf) == 4
                              ? header_at<rte_ipv4_hdr>(mbuf)->type_of_service
                              : ipv6_traffic_class(*header_at<rte_ipv6_hdr>(mbuf));
    const uint8_t ecn = inner & kEcnMask;
    return ecn == kEcnCe ? kEcnEct0 : ecn;
}

void count_sent(Worker& worker, const PacketMeta& meta, bool data, uint32_t message_len) noexcept {
    PeerActivity& activity = worker.parts.activity[meta.to_peer];
    activity.tx_packets.add(1);
    activity.tx_bytes.add(message_len);
    activity.last_any_tx_tsc.set(worker.now_tsc);
    if (data)
        activity.last_data_tx_tsc.set(worker.now_tsc);
}

// Gives each run of packets of one keypair its counters by one atomic addition.
void assign_counters(std::span<AeadJob> jobs, const Batch& batch) noexcept {
    for (uint16_t i = 0; i < batch.size();) {
        Keypair* keypair = meta_of(batch[i]).keypair;
        uint16_t end = i + 1;
        while (end < batch.size() && meta_of(batch[end]).keypair == keypair)
            ++end;
        // Relaxed: only uniqueness matters, and the addition is atomic.
        uint64_t counter = keypair->send_counter.fetch_add(end - i, std::memory_order_relaxed);
        for (; i < end; ++i, ++counter) {
            jobs[i].counter = counter;
            header_at<TransportHeader>(batch[i])->counter_le = rte_cpu_to_le_64(counter);
        }
    }
}

}  // namespace

void seal_stage(Worker& worker, Batch& batch) noexcept {
    std::array<AeadJob, Batch::kCapacity> jobs;
    uint16_t nb_jobs = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        meta.keypair = usable_keypair(worker, *meta.slot);
        if (meta.keypair == nullptr) {
            wait_for_session(worker, mbuf);
            return false;
        }
        meta.outer_tos = outer_tos_for(mbuf);
        const bool data = mbuf->data_len != 0;
        if (!prepare(jobs[nb_jobs], mbuf)) {
            worker.drop(mbuf, Drop::no_mbuf);
            return false;
        }
        count_sent(worker, meta, data, mbuf->data_len);
        ++nb_jobs;
        return true;
    });
    const std::span used{jobs.data(), nb_jobs};
    assign_counters(used, batch);
    worker.parts.aead->seal(used);
}

}  // namespace meshgate
