// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "base/time.h"

namespace meshgate {

// `rate` per second on average, `burst` at once.
class TokenBucket {
public:
    constexpr TokenBucket(double rate, double burst) noexcept
        : rate_{rate}, burst_{burst}, tokens_{burst} {}

    bool take(Time now) noexcept {
        const double elapsed_s = std::chrono::duration<double>(now - last_).count();
        tokens_ = std::min(burst_, tokens_ + rate_ * std::max(elapsed_s, 0.0));
        last_ = now;
        if (tokens_ < 1)
            return false;
        tokens_ -= 1;
        return true;
    }

private:
    double rate_;
    double burst_;
    double tokens_;
    Time last_{};
};

}  // namespace meshgate
