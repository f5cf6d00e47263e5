// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/worker.h"

#include <rte_cycles.h>
#include <rte_ring_elem.h>
#include <sys/random.h>

#include <algorithm>
#include <array>

#include "dataplane/path/pipeline.h"
#include "dataplane/path/stages.h"
#include "dataplane/ports/port.h"
#include "dataplane/wire/wire.h"
#include "dataplane/worker/idle_ladder.h"
#include "dataplane/worker/rings.h"

namespace meshgate {

namespace {

// What a driver hands over is in no cache of ours: asks for what classify reads and writes, all
// packets at once. Returns the bytes of the burst.
uint64_t fetch(const Batch& batch) noexcept {
    uint64_t nb_bytes = 0;
    for (rte_mbuf* mbuf : batch) {
        rte_prefetch0(&meta_of(mbuf));
        const auto* data = rte_pktmbuf_mtod(mbuf, const uint8_t*);
        rte_prefetch0(data);
        rte_prefetch0(data + RTE_CACHE_LINE_SIZE);
        nb_bytes += mbuf->pkt_len;
    }
    return nb_bytes;
}

uint64_t random_seed() noexcept {
    uint64_t seed = 0;
    [[maybe_unused]] const ssize_t len = getrandom(&seed, sizeof seed, 0);
    return seed;
}

}  // namespace

Worker::Worker(const WorkerShared& shared_by_all, WorkerParts own)
    : shared{shared_by_all},
      parts{std::move(own)},
      handshake_gate{shared_by_all.tsc_hz, random_seed()},
      reassembly{parts.reassembly_bytes, shared_by_all.tsc_hz},
      next_identification{parts.id},
      tx_pending_(shared.ports.size()) {}

Worker::~Worker() = default;

// ---- the loop ----

void Worker::run() noexcept {
    rte_rcu_qsbr_thread_register(shared.rcu, id());
    rte_rcu_qsbr_thread_online(shared.rcu, id());
    while (!stop_.load(std::memory_order_relaxed) || has_work()) {
        const uint64_t start_tsc = rte_rdtsc();
        const unsigned nb_packets = turn();
        rte_rcu_qsbr_quiescent(shared.rcu, id());
        const uint64_t end_tsc = rte_rdtsc();
        counters.turns.add(1);
        (nb_packets > 0 ? counters.busy_cycles : counters.idle_cycles).add(end_tsc - start_tsc);
        if (parts.idle->on_turn(nb_packets, end_tsc) == IdleLadder::Step::sleep)
            sleep();
    }
    rte_rcu_qsbr_thread_offline(shared.rcu, id());
    rte_rcu_qsbr_thread_unregister(shared.rcu, id());
}

unsigned Worker::turn() noexcept {
    now_tsc = rte_rdtsc();
    const Snapshot& snapshot = shared.snapshot->read();  // one view for the whole turn
    const unsigned nb_packets =
        receive_ports(snapshot) + receive_inbox(snapshot) + receive_injections(snapshot);
    if (nb_packets > 0)
        flush_all();
    if (now_tsc >= reassembly.next_expiry_tsc()) [[unlikely]]
        expire_fragments(*this, now_tsc);
    return nb_packets;
}

// What other threads put in our rings must be handled even after stop(); ports are not drained, for
// a busy network never ends.
bool Worker::has_work() const noexcept {
    return !is_empty(parts.inbox) || !is_empty(parts.injections);
}

// Offline in RCU, so that nothing published waits for a sleeping worker.
void Worker::sleep() noexcept {
    parts.doorbell.arm();
    if (!has_work() && !stop_.load(std::memory_order_relaxed)) {
        counters.sleeps.add(1);
        asleep.store(true, std::memory_order_relaxed);
        rte_rcu_qsbr_thread_offline(shared.rcu, id());
        parts.idle->sleep();
        rte_rcu_qsbr_thread_online(shared.rcu, id());
        asleep.store(false, std::memory_order_relaxed);
    }
    parts.doorbell.disarm();
}

// ---- where packets come from ----

unsigned Worker::receive_ports(const Snapshot& snapshot) noexcept {
    unsigned nb_packets = 0;
    for (const RxQueue& rx : parts.rx_queues) {
        Batch batch;
        stage_tsc = rte_rdtsc();
        batch.set_size(shared.ports[rx.port]->rx_burst(rx.queue, batch.data(), kBurst));
        if (batch.empty())
            continue;
        const uint64_t nb_bytes = fetch(batch);
        StageCounters& stage = counters.stages[static_cast<size_t>(Stage::rx)];
        stage.batches.add(1);
        stage.packets.add(batch.size());
        const uint64_t end_tsc = rte_rdtsc();
        stage.cycles.add(end_tsc - stage_tsc);
        stage_tsc = end_tsc;
        counters.rx_packets.add(batch.size());
        counters.ports[rx.port].rx_packets.add(batch.size());
        counters.ports[rx.port].rx_bytes.add(nb_bytes);
        nb_packets += batch.size();
        if (snapshot.ports[rx.port].role == PortRole::wan)
            run_underlay(*this, snapshot, rx.port, batch);
        else
            run_overlay(*this, snapshot, rx.port, batch);
    }
    return nb_packets;
}

unsigned Worker::receive_inbox(const Snapshot& snapshot) noexcept {
    std::array<void*, kBurst> objects;
    const unsigned nb_packets =
        rte_ring_dequeue_burst(parts.inbox, objects.data(), kBurst, nullptr);
    if (nb_packets == 0)
        return 0;
    stage_tsc = rte_rdtsc();
    counters.handover_in_packets.add(nb_packets);
    Batch to_reassemble, to_open, to_route;
    for (unsigned i = 0; i < nb_packets; ++i) {
        auto* mbuf = static_cast<rte_mbuf*>(objects[i]);
        switch (meta_of(mbuf).resume) {
            case Resume::reassemble:
                to_reassemble.push(mbuf);
                break;
            case Resume::open:
                to_open.push(mbuf);
                break;
            case Resume::route:
                to_route.push(mbuf);
                break;
            case Resume::tx:
                transmit({&mbuf, 1}, meta_of(mbuf).departure_port);
                break;
        }
    }
    run_reassembly(*this, snapshot, to_reassemble);
    run_decapsulation(*this, snapshot, to_open);
    run_forwarding(*this, snapshot, to_route);
    return nb_packets;
}

unsigned Worker::receive_injections(const Snapshot& snapshot) noexcept {
    std::array<void*, kBurst> objects;
    const unsigned nb_packets =
        rte_ring_dequeue_burst(parts.injections, objects.data(), kBurst, nullptr);
    if (nb_packets == 0)
        return 0;
    stage_tsc = rte_rdtsc();
    counters.injected_packets.add(nb_packets);
    Batch to_route, to_seal, to_links;
    for (unsigned i = 0; i < nb_packets; ++i) {
        auto* mbuf = static_cast<rte_mbuf*>(objects[i]);
        PacketMeta& meta = meta_of(mbuf);
        meta.from_peer = kNoPeer;
        switch (meta.info.inject) {
            case Inject::frame:
                transmit({&mbuf, 1}, meta.info.port);
                break;
            case Inject::route:
                to_route.push(mbuf);
                break;
            case Inject::seal:
                meta.to_peer = meta.info.peer;
                (meta.info.link == kNoLink ? to_seal : to_links).push(mbuf);
                break;
        }
    }
    run_forwarding(*this, snapshot, to_route);
    run_sealing(*this, snapshot, to_seal);
    run_sealing_by_link(*this, to_links);
    return nb_packets;
}

// ---- where packets go ----

void Worker::drop(rte_mbuf* mbuf, Drop reason) noexcept {
    counters.drops[static_cast<size_t>(reason)].add(1);
    if (reason == Drop::truncated) {
        const PortId port = meta_of(mbuf).arrival_port;
        if (mbuf->pkt_len > shared.ports[port]->longest_rx_bytes())
            counters.ports[port].cut_frames.add(1);
    }
    rte_pktmbuf_free(mbuf);
}

void Worker::punt(rte_mbuf* mbuf, Punt reason) noexcept {
    PacketInfo& info = meta_of(mbuf).info;
    info.punt = reason;
    info.link = kNoLink;  // of a received packet it is what the mbuf was last used for
    rte_ring* ring = parts.punts;
    if (reason == Punt::mesh)
        ring = parts.mesh;
    if (reason == Punt::no_session || reason == Punt::unresolved_neighbor)
        ring = parts.waiting;
    if (reason != Punt::unresolved_neighbor)
        info.port = meta_of(mbuf).arrival_port;
    if (rte_ring_enqueue(ring, mbuf) != 0) {
        drop(mbuf, Drop::punt_full);
        return;
    }
    counters.punts[static_cast<size_t>(reason)].add(1);
    wake_control_ = true;
}

bool Worker::note(const Note& note) noexcept {
    wake_control_ = true;
    Note copy = note;  // the ring's interface is not const
    return rte_ring_enqueue_elem(parts.notes, &copy, sizeof copy) == 0;
}

void Worker::hand_over(rte_mbuf* mbuf, unsigned worker, Resume resume) noexcept {
    meta_of(mbuf).resume = resume;
    if (rte_ring_enqueue(shared.workers[worker]->parts.inbox, mbuf) != 0) {
        drop(mbuf, Drop::handover_full);
        return;
    }
    counters.handover_out_packets.add(1);
    wake_workers_ |= 1U << worker;
}

void Worker::transmit(std::span<rte_mbuf* const> mbufs, PortId port) noexcept {
    const TxRoute& route = parts.tx_routes[port];
    if (route.owner != id()) {
        for (rte_mbuf* mbuf : mbufs) {
            meta_of(mbuf).departure_port = port;
            hand_over(mbuf, route.owner, Resume::tx);
        }
        return;
    }
    TxPending& pending = tx_pending_[port];
    while (!mbufs.empty()) {
        const size_t n = std::min<size_t>(mbufs.size(), kBurst - pending.size);
        std::copy_n(mbufs.data(), n, pending.mbufs + pending.size);
        pending.size = static_cast<uint16_t>(pending.size + n);
        mbufs = mbufs.subspan(n);
        if (pending.size == kBurst)
            flush_port(port);
    }
}

void Worker::flush_port(PortId port) noexcept {
    TxPending& pending = tx_pending_[port];
    if (pending.size == 0)
        return;
    uint64_t nb_bytes = 0;
    for (uint16_t i = 0; i < pending.size; ++i)
        nb_bytes += pending.mbufs[i]->pkt_len;
    const uint16_t nb_sent =
        shared.ports[port]->tx_burst(parts.tx_routes[port].queue, pending.mbufs, pending.size);
    for (uint16_t i = nb_sent; i < pending.size; ++i)
        nb_bytes -= pending.mbufs[i]->pkt_len;
    counters.tx_packets.add(nb_sent);
    counters.ports[port].tx_packets.add(nb_sent);
    counters.ports[port].tx_bytes.add(nb_bytes);
    const Drop refusal = shared.ports[port]->is_bound() ? Drop::tx_full : Drop::port_unbound;
    for (uint16_t i = nb_sent; i < pending.size; ++i)
        drop(pending.mbufs[i], refusal);
    pending.size = 0;
}

// The end of a turn: what was collected leaves, and whom we gave work is woken, once each.
void Worker::flush_all() noexcept {
    for (PortId port = 0; port < tx_pending_.size(); ++port)
        flush_port(port);
    if (wake_control_)
        shared.control_doorbell->ring();
    wake_control_ = false;
    for (; wake_workers_ != 0; wake_workers_ &= wake_workers_ - 1)
        shared.workers[static_cast<unsigned>(__builtin_ctz(wake_workers_))]->parts.doorbell.ring();
}

}  // namespace meshgate
