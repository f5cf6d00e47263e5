// SPDX-License-Identifier: Apache-2.0

// In:    inner IP packets (or none: keepalives) with peer and link.
// Out:   transport data messages, data at the message. The whole burst is one AEAD batch.
// Punts: no_session: packets wait in control while a handshake runs. Nothing leaves in plaintext.
// Drops: no_session (keepalives, and what control sends by a link), no_headroom, no_tailroom.

#include <algorithm>

#include "dataplane/api/dataplane.h"
#include "dataplane/packet/verdict.h"
#include "dataplane/path/stages.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

// A worker reserves so many counters at once, and gives the rest of them up when the others have
// got so far ahead that it might fall out of the receiver's window. The smallest in use is
// BoringTun's, of 1024; ours and Linux's are of 8192.
constexpr uint64_t kCounterBlock = 64;
constexpr uint64_t kMaxLag = 256;  // behind the others, from which a worker gives its rest up

// Counters are reserved by addition before they are known to be allowed. Stopping this far before
// the limit keeps all workers together from ever running past it, let alone around 2^64.
constexpr uint64_t kLastSafeCounter =
    kRejectAfterMessages - uint64_t{kMaxWorkers} * Batch::kCapacity;
static_assert(kCounterBlock <= Batch::kCapacity);

// False when the session may not send any more (W30).
[[gnu::noinline]] bool reserve(CounterBlock& block, Keypair& keypair) noexcept {
    if (keypair.send_counter.load(std::memory_order_relaxed) >= kLastSafeCounter)
        return false;
    // Relaxed: only uniqueness matters, and the addition is atomic.
    block.next = keypair.send_counter.fetch_add(kCounterBlock, std::memory_order_relaxed);
    block.end = std::min(block.next + kCounterBlock, kLastSafeCounter);
    block.serial = keypair.serial;
    return block.next < block.end;
}

// Alone, a worker need not look at what the others did.
bool is_spent(const Worker& worker, const CounterBlock& block, const Keypair& keypair) noexcept {
    if (block.serial != keypair.serial || block.next == block.end)
        return true;
    return worker.nb_workers() > 1 &&
           keypair.send_counter.load(std::memory_order_relaxed) - block.next > kMaxLag;
}

// The session to send with, a counter reserved; null when there is none any more (W30).
Keypair* usable_keypair(const Worker& worker, const PeerSlot& slot, CounterBlock& block) noexcept {
    Keypair* keypair = slot.sending.load(std::memory_order_acquire);
    if (keypair == nullptr || worker.now_tsc >= keypair->reject_after_tsc)
        return nullptr;
    if (is_spent(worker, block, *keypair) && !reserve(block, *keypair))
        return nullptr;
    return keypair;
}

void wait_for_session(Worker& worker, rte_mbuf* mbuf, WithoutSession policy) noexcept {
    if (mbuf->data_len == 0 || policy == WithoutSession::drop) {
        worker.drop(mbuf, Drop::no_session);
        return;
    }
    meta_of(mbuf).info.peer = meta_of(mbuf).to_peer;
    worker.punt(mbuf, Punt::no_session);
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

// Pads (W04), makes room for header and tag, and says what the AEAD shall do.
Verdict prepare(AeadJob& job, rte_mbuf* mbuf, const Keypair& keypair, uint64_t counter) noexcept {
    const uint32_t inner_len = mbuf->data_len;
    const uint32_t aligned_len = (inner_len + kPadding - 1) / kPadding * kPadding;
    const uint32_t padded_len =
        std::max(inner_len, std::min<uint32_t>(aligned_len, meta_of(mbuf).mtu_bytes));
    const uint32_t end = mbuf->data_off + padded_len + kTagLen;
    if (end > mbuf->buf_len)
        return Drop::no_tailroom;
    if (mbuf->data_off < sizeof(TransportHeader))
        return Drop::no_headroom;
    // Padding is shorter than the tag, which will be written over the rest of this.
    static_assert(kPadding <= kTagLen);
    auto* inner = header_at<uint8_t>(mbuf);
    std::memset(inner + inner_len, 0, kPadding);
    auto* header = reinterpret_cast<TransportHeader*>(inner) - 1;
    mbuf->data_off = static_cast<uint16_t>(mbuf->data_off - sizeof *header);
    mbuf->data_len = static_cast<uint16_t>(sizeof *header + padded_len + kTagLen);
    mbuf->pkt_len = mbuf->data_len;
    *header = {.type_le = rte_cpu_to_le_32(kMessageTransport),
               .receiver_index_le = keypair.remote_index_le,
               .counter_le = rte_cpu_to_le_64(counter)};
    job.key = keypair.send_key.data();
    job.counter = counter;
    job.data = inner;
    job.len = padded_len;
    return kSound;
}

void count_sent(PeerActivity& activity, uint64_t now_tsc, bool data,
                uint32_t message_len) noexcept {
    activity.tx_packets.add(1);
    activity.tx_bytes.add(message_len);
    activity.last_any_tx_tsc.set(now_tsc);
    if (message_len > Dataplane::kAlwaysFits + kMinTransportLen)
        activity.sized_packets.add(1);
    if (data)
        activity.last_data_tx_tsc.set(now_tsc);
}

}  // namespace

void seal_stage(Worker& worker, Batch& batch, WithoutSession policy) noexcept {
    AeadJob* const jobs = worker.stage_state.aead.jobs.data();
    uint16_t nb_jobs = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        PeerActivity& activity = worker.parts.activity[meta.to_peer];
        const Keypair* keypair = usable_keypair(worker, *meta.slot, activity.reserved);
        if (keypair == nullptr) {
            wait_for_session(worker, mbuf, policy);
            return false;
        }
        meta.outer_tos = outer_tos_for(mbuf);
        const bool data = mbuf->data_len != 0;
        const Verdict verdict = prepare(jobs[nb_jobs], mbuf, *keypair, activity.reserved.next++);
        if (!verdict.is_sound()) {
            worker.drop(mbuf, verdict.reason());
            return false;
        }
        count_sent(activity, worker.now_tsc, data, mbuf->data_len);
        ++nb_jobs;
        return true;
    });
    worker.parts.aead->seal({jobs, nb_jobs});
}

}  // namespace meshgate
