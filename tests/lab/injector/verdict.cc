// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/injector/verdict.h"

#include <array>

namespace meshgate::lab {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
// 2014): neighbouring inputs give unrelated outputs.
uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

}  // namespace

Verdict Fate::next(const Faults& faults) {
    const uint64_t frame_key = mix(mix(key_) ^ ++number_);
    // Each question has its own draw, so that switching one fault on does not change another.
    const auto draw = [&](uint64_t question) { return mix(frame_key + question); };
    const auto chance = [&](uint64_t question, double probability) {
        return static_cast<double>(draw(question) >> 11) * 0x1p-53 < probability;
    };
    if (in_bad_spell_)
        in_bad_spell_ = !chance(1, faults.burst_leave);
    else
        in_bad_spell_ = chance(1, faults.burst_enter);

    Verdict verdict;
    verdict.lost = faults.partition || in_bad_spell_ || chance(2, faults.loss);
    verdict.duplicated = chance(3, faults.duplicate);
    verdict.corrupted = chance(4, faults.corrupt);
    verdict.truncated = chance(5, faults.truncate);
    verdict.reordered = chance(6, faults.reorder);
    verdict.marked = chance(9, faults.mark_ce);
    const double spread = static_cast<double>(draw(7) >> 11) * 0x1p-53 * 2 - 1;
    verdict.delay_ms = faults.delay_ms + faults.jitter_ms * spread;
    verdict.random = draw(8);
    return verdict;
}

}  // namespace meshgate::lab
