// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace meshgate {

// The token bucket of the workers: so many a second on average, `burst` at once, in TSC clocks and
// without floating point. A bucket's state is one word, kept by whoever is limited: up to when what
// was taken has been paid for. It starts full, at 0.
class TscRate {
public:
    struct Options {
        uint64_t tsc_hz;
        uint64_t per_second;
        uint64_t burst;
    };
    explicit constexpr TscRate(const Options& options) noexcept
        : cost_tsc_{options.tsc_hz / options.per_second}, burst_tsc_{cost_tsc_ * options.burst} {}

    bool take(uint64_t& paid_until_tsc, uint64_t now_tsc) const noexcept {
        const uint64_t from_tsc = std::max(paid_until_tsc, now_tsc);
        if (from_tsc + cost_tsc_ > now_tsc + burst_tsc_)
            return false;
        paid_until_tsc = from_tsc + cost_tsc_;
        return true;
    }

private:
    uint64_t cost_tsc_;
    uint64_t burst_tsc_;
};

}  // namespace meshgate
