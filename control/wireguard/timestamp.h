// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "control/wireguard/messages.h"

namespace meshgate::wireguard {

// TAI64N, whitened: nanoseconds are rounded down to a multiple of 2^24 (16.8 ms), so that a
// timestamp tells little of our clock (W14). Bytes compare as times do. All zero: before any.
struct Timestamp {
    std::array<uint8_t, kTimestampLen> bytes{};

    static Timestamp from_wall(uint64_t wall_ns) noexcept;
    // The least that is greater.
    Timestamp successor() const noexcept;
    // Unix time; 0 for the zero timestamp.
    uint64_t wall_ns() const noexcept;

    auto operator<=>(const Timestamp&) const = default;
};

}  // namespace meshgate::wireguard
