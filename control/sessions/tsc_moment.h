// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace meshgate::control {

// A moment on both the workers' clock and ours: what turns one into the other.
struct TscMoment {
    uint64_t tsc = 0;
    uint64_t tsc_hz = 1;
    uint64_t mono_ns = 0;

    // 0, which is never, stays 0.
    uint64_t to_ns(uint64_t at_tsc) const noexcept {
        if (at_tsc == 0)
            return 0;
        const auto age_ns =
            static_cast<uint64_t>(static_cast<double>(tsc > at_tsc ? tsc - at_tsc : 0) * 1e9 /
                                  static_cast<double>(tsc_hz));
        return mono_ns > age_ns ? mono_ns - age_ns : 1;
    }
    uint64_t to_tsc(uint64_t at_ns) const noexcept {
        const double ns = at_ns > mono_ns ? static_cast<double>(at_ns - mono_ns)
                                          : -static_cast<double>(mono_ns - at_ns);
        const double clocks = ns * static_cast<double>(tsc_hz) / 1e9;
        if (clocks < 0 && static_cast<double>(tsc) < -clocks)
            return 0;
        return clocks < 0 ? tsc - static_cast<uint64_t>(-clocks)
                          : tsc + static_cast<uint64_t>(clocks);
    }
};

}  // namespace meshgate::control
