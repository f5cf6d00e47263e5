// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_ring.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace meshgate {

struct RingFree {
    void operator()(rte_ring* ring) const noexcept { rte_ring_free(ring); }
};
using Ring = std::unique_ptr<rte_ring, RingFree>;

// rte_ring_empty() with loads that are atomic by name. Only a hint, unless a fence stands before
// it.
inline bool is_empty(const rte_ring* ring) noexcept {
    return __atomic_load_n(&ring->prod.tail, __ATOMIC_RELAXED) ==
           __atomic_load_n(&ring->cons.tail, __ATOMIC_RELAXED);
}

// The rings between one worker and everybody else; who fills and who empties each is said at
// WorkerParts. All are bounded: a full ring is a counted drop.
struct WorkerRings {
    Ring punts, mesh, waiting, notes, injections, inbox;
    Ring host_up, host_down;  // none without a host thread

    enum class Host : uint8_t { none, some };
    static Result<WorkerRings> create(unsigned worker, Host host);
    WorkerRings() noexcept = default;
    WorkerRings(WorkerRings&&) noexcept = default;
    WorkerRings& operator=(WorkerRings&&) = delete;
    // Frees the mbufs that nobody took.
    ~WorkerRings();
};

}  // namespace meshgate
