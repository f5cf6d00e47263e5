// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/api/drop.h"
#include "dataplane/tables/ids.h"

namespace meshgate {

// One writer (the worker that owns it), any reader. Relaxed: a reader may see one counter ahead of
// another, never a torn value. A load and a store, no locked instruction.
class Counter {
public:
    void add(uint64_t n) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void set(uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
    uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> value_{0};
};

struct PortCounters {
    Counter rx_packets, rx_bytes, tx_packets, tx_bytes;
    Counter cut_frames;  // of those `truncated`: super-packets that the driver cut
};

struct StageCounters {
    Counter batches, packets, cycles;  // cycles: TSC clocks spent inside the stage
};

// By reason, and by the stage in which it happened.
class DropCounters {
public:
    void add(Drop reason, Stage stage, uint64_t nb_packets = 1) noexcept {
        counters_[static_cast<size_t>(reason)][static_cast<size_t>(stage)].add(nb_packets);
    }
    uint64_t get(Drop reason, Stage stage) const noexcept {
        return counters_[static_cast<size_t>(reason)][static_cast<size_t>(stage)].get();
    }
    uint64_t get(Drop reason) const noexcept {
        uint64_t sum = 0;
        for (const Counter& counter : counters_[static_cast<size_t>(reason)])
            sum += counter.get();
        return sum;
    }

private:
    std::array<std::array<Counter, kNbStages>, kNbDrops> counters_;
};

// Written by one worker only. Conservation, over the sum of all workers (docs/packet-path.md):
//   rx_packets + injected_packets + from_host_packets + originated_packets
//     = tx_packets + to_host_packets + sum(drops) + sum(punts)
// where handovers between workers cancel out.
struct alignas(64) WorkerCounters {
    Counter rx_packets;          // from ports
    Counter injected_packets;    // taken from the ring that control fills
    Counter originated_packets;  // made here: ICMP errors, further fragments
    Counter from_host_packets;   // sent by the kernel; the host thread counts
    Counter to_host_packets;     // taken by the kernel; the host thread counts
    Counter tx_packets;          // given to ports
    Counter handover_out_packets, handover_in_packets;
    Counter turns, busy_cycles, idle_cycles, sleeps;
    DropCounters drops;
    std::array<Counter, kNbPunts> punts;
    std::array<PortCounters, kMaxPorts> ports;
    std::array<StageCounters, kNbStages> stages;
};

}  // namespace meshgate
