// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/worker.h"

#include <rte_cycles.h>
#include <rte_ring_elem.h>

#include <algorithm>
#include <array>

#include "base/random.h"
#include "dataplane/ports/port.h"
#include "dataplane/wire/wire.h"
#include "dataplane/worker/idle_ladder.h"
#include "dataplane/worker/rings.h"

namespace meshgate {

Worker::Worker(const WorkerShared& shared_by_all, WorkerParts own)
    : shared{shared_by_all},
      parts{std::move(own)},
      stage_state{{.tsc_hz = shared_by_all.tsc_hz,
                   .seed = random_number<uint64_t>(),
                   .reassembly_bytes = parts.reassembly_bytes,
                   .first_identification = parts.id}},
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
        if (nb_packets == 0)
            stage_state.reassemble.paid_until_tsc = 0;  // nobody else needs the time
        (nb_packets > 0 ? counters.busy_cycles : counters.idle_cycles).add(end_tsc - start_tsc);
        if (parts.idle->on_turn(nb_packets, end_tsc) == IdleLadder::Step::sleep)
            sleep();
    }
    rte_rcu_qsbr_thread_offline(shared.rcu, id());
    rte_rcu_qsbr_thread_unregister(shared.rcu, id());
}

// What other threads put in our rings must be handled even after stop(); ports are not drained, for
// a busy network never ends.
bool Worker::has_work() const noexcept {
    return !is_empty(parts.inbox) || !is_empty(parts.injections) ||
           (parts.host_down != nullptr && !is_empty(parts.host_down));
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

// ---- where packets go ----

void Worker::drop(rte_mbuf* mbuf, Drop reason, Stage where) noexcept {
    counters.drops.add(reason, where);
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
    info.link = kNoLink;  // of a received packet these are what the mbuf was last used for
    info.mtu_bytes = 0;
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

void Worker::hand_up(rte_mbuf* mbuf, PortId port) noexcept {
    meta_of(mbuf).info.port = port;
    if (rte_ring_enqueue(parts.host_up, mbuf) != 0) {
        drop(mbuf, Drop::host_full, Stage::host);
        return;
    }
    wake_host_ = true;
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
        drop(pending.mbufs[i], refusal, Stage::tx);
    pending.size = 0;
}

// The end of a turn: sends what was collected, and wakes each thread that was given work, once.
void Worker::flush_all() noexcept {
    for (PortId port = 0; port < tx_pending_.size(); ++port)
        flush_port(port);
    if (wake_control_)
        shared.control_doorbell->ring();
    wake_control_ = false;
    if (wake_host_)
        shared.host.doorbell->ring();
    wake_host_ = false;
    for (; wake_workers_ != 0; wake_workers_ &= wake_workers_ - 1)
        shared.workers[static_cast<unsigned>(__builtin_ctz(wake_workers_))]->parts.doorbell.ring();
}

}  // namespace meshgate
