// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/handshake_gate.h"

#include <cstring>

namespace meshgate {

namespace {

// Twice what one core accepts, and next to nothing for one that only has to refuse.
constexpr uint64_t kPerSecond = 10'000;
constexpr uint64_t kBurst = 1024;  // handshakes that may come at once
// As much as control grants to a source under load (W22).
constexpr uint64_t kPerSecondOfSource = 20;

}  // namespace

HandshakeGate::HandshakeGate(uint64_t tsc_hz, uint64_t seed) noexcept
    : common_{{.tsc_hz = tsc_hz, .per_second = kPerSecond, .burst = kBurst}},
      source_gap_tsc_{tsc_hz / kPerSecondOfSource},
      seed_{seed | 1} {}

bool HandshakeGate::admit(const IpAddress& source, Mac2 mac2, uint64_t now_tsc) noexcept {
    if (common_.take(paid_until_tsc_[static_cast<size_t>(mac2)], now_tsc))
        return true;
    uint64_t& next_tsc = next_of_source_tsc_[slot_of(source)];
    if (now_tsc < next_tsc)
        return false;
    next_tsc = now_tsc + source_gap_tsc_;
    return true;
}

// Multiplication by an odd secret number; the upper bits depend on all of the address.
size_t HandshakeGate::slot_of(const IpAddress& source) const noexcept {
    uint64_t group = 0;
    std::memcpy(&group, source.bytes.data(), source.is_v4() ? sizeof(uint32_t) : sizeof group);
    const uint64_t mixed = (group ^ seed_) * seed_;
    return ((mixed ^ mixed >> 32) * 0x9e3779b97f4a7c15) >> 54;
}

}  // namespace meshgate
