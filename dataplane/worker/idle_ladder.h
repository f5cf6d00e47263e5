// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/api/options.h"
#include "dataplane/worker/doorbell.h"

namespace meshgate {

// What a worker does when nothing comes: polls on, then yields its core between polls, then sleeps
// until a doorbell rings; how soon depends on who else needs the core. Where a queue has no
// doorbell it naps instead, the longer the longer nothing came. Worker thread only.
//
//   if (idle.on_turn(nb_packets, now_tsc) == IdleLadder::Step::sleep) {
//       doorbell.arm();
//       if (rings are empty) { RCU offline; idle.sleep(); RCU online; }
//       doorbell.disarm();
//   }
class IdleLadder {
public:
    enum class CoreUse : uint8_t { floating, pinned };
    struct Options {
        IdleMode mode = IdleMode::adaptive;
        CoreUse core = CoreUse::floating;
        // One per receive queue of the worker; -1 where the port has none.
        std::vector<int> queue_doorbell_fds;
        int own_doorbell_fd = -1;
        uint64_t tsc_hz = 0;
    };
    enum class Step : uint8_t { poll, sleep };

    explicit IdleLadder(const Options& options);

    // After each turn. Pauses or yields by itself; `sleep` asks the worker to call sleep().
    Step on_turn(unsigned nb_packets, uint64_t now_tsc) noexcept;
    // Until a doorbell rings or the time is up; the caller has gone offline and armed its doorbell.
    void sleep() noexcept;

private:
    long nap_ns(uint64_t idle_tsc) const noexcept;

    bool may_sleep_;
    bool all_ring_ = true;  // every receive queue has a doorbell
    double ns_per_tsc_ = 0;
    uint64_t spin_tsc_ = 0;
    uint64_t yield_tsc_ = 0;
    uint64_t idle_since_tsc_ = 0;  // 0: the last turn had packets
    long sleep_ns_ = 0;            // of the next sleep
    // The last sleep ended by a queue's doorbell, and no packet came of it so far. The tap driver
    // hands nothing out before another thread has handled a signal: asking its descriptor again and
    // again would only take that thread's core.
    bool queue_rang_ = false;
    std::vector<pollfd> poll_fds_;
};

}  // namespace meshgate
