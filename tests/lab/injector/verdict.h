// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace meshgate::lab {

// What befalls the frames of one direction. Probabilities are 0..1; all zero: a plain cable.
struct Faults {
    double loss = 0;
    double burst_enter = 0, burst_leave = 1;  // Gilbert: every frame of a bad spell is lost
    double duplicate = 0;
    double corrupt = 0;            // one bit behind the UDP header flips
    bool repair_checksum = false;  // of corrupt and truncated datagrams: only the tag can tell
    double truncate = 0;
    double mark_ce = 0;  // congestion experienced, as a router that runs full says it
    double reorder = 0;
    uint32_t reorder_depth = 3;  // a reordered frame waits until so many have overtaken it
    double delay_ms = 0, jitter_ms = 0;
    double rate_bits_per_second = 0;  // 0: unlimited
    uint32_t queue_bytes = 262144;    // behind the rate limit
    uint32_t mtu_bytes = 0;           // longer IP packets vanish without a word; 0: none
    bool partition = false;
};

// The fate of one frame, before rate and queue.
struct Verdict {
    bool lost = false;
    bool duplicated = false;
    bool corrupted = false;
    bool truncated = false;
    bool marked = false;
    bool reordered = false;
    double delay_ms = 0;
    uint64_t random = 0;  // chooses the bit, or the length that is left
};

// Deterministic: the verdict depends on the seed, the direction, the frame's number in it and the
// settings, never on time, so that a run can be repeated.
class Fate {
public:
    Fate(uint64_t seed, unsigned direction) : key_{seed * 2 + direction} {}

    Verdict next(const Faults& faults);

private:
    uint64_t key_;
    uint64_t number_ = 0;
    bool in_bad_spell_ = false;
};

}  // namespace meshgate::lab
