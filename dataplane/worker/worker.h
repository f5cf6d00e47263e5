// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "dataplane/api/counters.h"
#include "dataplane/api/drop.h"
#include "dataplane/api/note.h"
#include "dataplane/api/snapshot.h"
#include "dataplane/crypto/aead.h"
#include "dataplane/packet/batch.h"
#include "dataplane/tables/index_table.h"
#include "dataplane/tables/peer_slot.h"
#include "dataplane/tables/published.h"
#include "dataplane/worker/activity.h"
#include "dataplane/worker/doorbell.h"
#include "dataplane/worker/reassembly.h"
#include "dataplane/worker/stage_state.h"

namespace meshgate {

class Port;
class IdleLadder;
class Worker;

struct RxQueue {
    PortId port;
    uint16_t queue;
};

// How a worker sends on a port: by a queue of its own, or, where the port has fewer transmit queues
// than there are workers, through the inbox of the worker that owns one.
struct TxRoute {
    uint16_t queue = 0;
    unsigned owner = 0;  // worker; equal to our id: the queue is ours
};

// What workers know of the machine's kernel, which the host thread speaks to.
struct HostView {
    uint32_t twins = 0;    // bit per port that has one
    bool overlay = false;  // the kernel has a way into the network
    Doorbell* doorbell = nullptr;

    bool has_twin(PortId port) const noexcept {
        return port < kMaxPorts && (twins >> port & 1) != 0;
    }
};

// What all workers share; outlives them. Built by Dataplane::create.
struct WorkerShared {
    std::vector<Port*> ports;  // by PortId
    rte_mempool* pool = nullptr;
    const Published<Snapshot>* snapshot = nullptr;
    const IndexTable* index = nullptr;
    PeerSlot* peers = nullptr;  // max_peers of them
    // kMaxLinks of them; control writes.
    const std::atomic<const Link*>* links = nullptr;
    rte_rcu_qsbr* rcu = nullptr;  // thread id = worker id
    Doorbell* control_doorbell = nullptr;
    HostView host;
    std::vector<Worker*> workers;  // by worker id
    uint64_t tsc_hz = 0;
};

// What belongs to one worker alone. Built by Dataplane::create.
struct WorkerParts {
    unsigned id = 0;
    std::vector<RxQueue> rx_queues;
    std::vector<TxRoute> tx_routes;  // by PortId
    std::unique_ptr<AeadEngine> aead;
    // Bursts of so many frames are looked at sixteen at a time; kNever where the processor cannot.
    // Fewer are not worth it.
    static constexpr uint16_t kNever = UINT16_MAX;
    static constexpr uint16_t kWorthIt = 4;
    uint16_t min_vector_burst = has_avx512() ? kWorthIt : kNever;
    PeerActivity* activity = nullptr;  // max_peers of them
    LinkCounters* links = nullptr;     // kMaxLinks of them
    // Up: single producer (this worker), single consumer (control). Packets that merely wait for a
    // session or a neighbour have a ring of their own, and so has the mesh: a flood of one kind
    // cannot shut out another.
    rte_ring* punts = nullptr;    // rte_mbuf*
    rte_ring* mesh = nullptr;     // rte_mbuf*
    rte_ring* waiting = nullptr;  // rte_mbuf*
    rte_ring* notes = nullptr;    // Note by value (rte_ring_elem)
    // Down: single producer (control).
    rte_ring* injections = nullptr;  // rte_mbuf*
    // Up to the host thread and down from it: one producer and one consumer each. Null where no
    // port has a twin.
    rte_ring* host_up = nullptr;    // rte_mbuf*
    rte_ring* host_down = nullptr;  // rte_mbuf*
    // From other workers: several producers.
    rte_ring* inbox = nullptr;  // rte_mbuf*
    Doorbell doorbell;          // rung after a put into injections or inbox
    std::unique_ptr<IdleLadder> idle;
    // Its share of Reassembly::kMaxBytes.
    size_t reassembly_bytes = Reassembly::kMaxBytes;
};

// One poll-mode loop. run() is the worker's thread; stop() and the counters may be used by others.
class Worker {
public:
    Worker(const WorkerShared& shared, WorkerParts parts);
    ~Worker();

    // Until stop(): turns, quiescent reports, the idle ladder. Registers with RCU by itself.
    void run() noexcept;
    // From any thread: finish what is queued, then return from run().
    void stop() noexcept { stop_.store(true, std::memory_order_relaxed); }

    // One turn over all queues and rings with one view of the world; returns packets handled.
    // Tests drive this directly.
    unsigned turn() noexcept;

    // ---- used by the stages ----
    // Counted for the stage that runs now, or for the one that is named.
    [[gnu::cold]] void drop(rte_mbuf* mbuf, Drop reason) noexcept { drop(mbuf, reason, stage); }
    [[gnu::cold]] void drop(rte_mbuf* mbuf, Drop reason, Stage where) noexcept;
    // To control's rings, with the arrival port in its PacketInfo; dropped and counted when full.
    void punt(rte_mbuf* mbuf, Punt reason) noexcept;
    // To another worker's inbox; dropped and counted when that is full.
    void hand_over(rte_mbuf* mbuf, unsigned worker, Resume resume) noexcept;
    // To the host thread: a frame for the twin of `port`, or an IP packet out of the network
    // (kNoPort); dropped and counted when its ring is full.
    void hand_up(rte_mbuf* mbuf, PortId port) noexcept;
    // False when control's ring is full: say it again with a later packet.
    bool note(const Note& note) noexcept;
    // Collects for `port`; sent at the end of the turn or when a burst is full.
    void transmit(std::span<rte_mbuf* const> mbufs, PortId port) noexcept;

    unsigned id() const noexcept { return parts.id; }
    unsigned nb_workers() const noexcept { return static_cast<unsigned>(shared.workers.size()); }

    const WorkerShared& shared;
    WorkerParts parts;
    WorkerCounters counters;
    uint64_t now_tsc = 0;     // read once per turn
    Stage stage = Stage::rx;  // that runs now, see pipeline.cc
    uint64_t stage_tsc = 0;   // when it began
    StageState stage_state;
    std::atomic<bool> asleep{false};

private:
    unsigned receive_ports(const Snapshot& snapshot) noexcept;
    unsigned receive_inbox(const Snapshot& snapshot) noexcept;
    unsigned receive_injections(const Snapshot& snapshot) noexcept;
    unsigned receive_from_host(const Snapshot& snapshot) noexcept;
    bool has_work() const noexcept;
    void sleep() noexcept;
    void flush_port(PortId port) noexcept;
    void flush_all() noexcept;

    std::atomic<bool> stop_{false};
    bool wake_control_ = false;
    bool wake_host_ = false;
    uint32_t wake_workers_ = 0;  // bit per worker whose inbox we filled in this turn
    struct TxPending {
        uint16_t size = 0;
        rte_mbuf* mbufs[kBurst];
    };
    std::vector<TxPending> tx_pending_;  // by PortId
};

}  // namespace meshgate
