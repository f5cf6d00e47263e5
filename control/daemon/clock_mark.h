// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace meshgate::control {

// Peers refuse initiations that are older than one they saw (W15). A box whose clock went back
// across a restart would be refused until time has passed; so the greatest timestamp is kept on
// disk, with some slack, so that it is written now and then and not per handshake.
class ClockMark {
public:
    // `folder` exists and survives restarts; empty: nothing is kept. `start`: when we started.
    ClockMark(const std::string& folder, const Now& start);

    // What every timestamp from now on must exceed; 0: nothing is known.
    uint64_t floor_ns() const noexcept { return stored_ns_; }
    // Keeps `greatest_sent_ns` when it nears what is stored. Fails, and stores nothing, when the
    // wall clock ran away from the monotonic one: such a mark would bind us for years.
    Result<void> keep(uint64_t greatest_sent_ns, const Now& now);

private:
    std::string path_;  // empty: none
    Now start_;
    uint64_t stored_ns_ = 0;
};

}  // namespace meshgate::control
