// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "control/babel/tlv.h"

namespace meshgate::babel {

using Duration = Time::duration;

constexpr Duration from_cs(uint16_t centiseconds) noexcept {
    return std::chrono::milliseconds{10} * centiseconds;
}
// At least 1, at most what fits.
uint16_t to_cs(Duration duration) noexcept;

// How costs come about. The defaults are a wired network's (RFC 8966 appendix A.2.1).
struct CostOptions {
    uint16_t base = 96;    // of a link without fault
    uint16_t bias = 0;     // configured, added by this side in both directions
    bool metered = false;  // costs more than any way without it
    double per_loss = 0;   // for each 1 % of Hellos lost
    uint32_t rtt_min_us = 10'000;
    uint32_t rtt_max_us = 120'000;
    uint16_t max_rtt_penalty = 0;  // reached at rtt_max_us; 0: delay does not count

    // A tunnel between boxes: 1 ms costs about 1.4, a hop as much as 23 ms, 1 % of loss as much as
    // 12 ms; no delay is too long to be compared.
    static constexpr CostOptions tunnel() noexcept {
        return {.base = 32,
                .per_loss = 16,
                .rtt_min_us = 0,
                .rtt_max_us = 1'000'000,
                .max_rtt_penalty = 1365};
    }
};

// Several of these in a row still stay below infinity, and above what other links cost.
constexpr uint16_t kMeteredPenalty = 8192;

// Sum that stops at infinity.
constexpr uint16_t add_cost(uint32_t a, uint32_t b) noexcept {
    return static_cast<uint16_t>(a + b < kInfinity ? a + b : kInfinity);
}

// The Hellos of one kind from one neighbour: which came (RFC 8966 appendix A.1).
class HelloHistory {
public:
    void heard(uint16_t seqno, uint16_t interval_cs, Time now) noexcept;
    // Whether a Hello of this number is that of a neighbour that has started again.
    bool restarts_with(uint16_t seqno) const noexcept;
    bool any_seen() const noexcept { return nb_seen_ > 0; }
    // Counts a Hello as missed; call when now >= next_due().
    void missed() noexcept;
    Time next_due() const noexcept { return next_due_; }
    void forget() noexcept { *this = HelloHistory{}; }

    bool scheduled() const noexcept { return interval_ > Duration{}; }
    Duration interval() const noexcept { return interval_; }
    unsigned missed_in_row() const noexcept { return missed_in_row_; }
    // Two of the last three.
    bool two_of_three() const noexcept;
    bool empty() const noexcept { return bits_ == 0; }
    uint16_t bits() const noexcept { return bits_; }
    // 0..1, over some hundred Hellos, but at once when many of the last are missing.
    double loss() const noexcept;

private:
    void push(bool arrived) noexcept;
    int16_t ahead_of_expected(uint16_t seqno) const noexcept {
        return static_cast<int16_t>(static_cast<uint16_t>(seqno - expected_));
    }

    uint16_t bits_ = 0;     // the last is the highest, as the RFC draws it
    uint32_t recent_ = 0;   // the last 32
    unsigned nb_seen_ = 0;  // up to the window of slow_loss_
    double slow_loss_ = 0;
    uint32_t recent_before_ = 0;  // both as they were before the last run of misses
    double slow_loss_before_ = 0;
    uint16_t expected_ = 0;
    unsigned missed_in_row_ = 0;
    Duration interval_{};
    Time next_due_ = kNever;
};

// Round-trip times of a link.
class RttHistory {
public:
    // Ignores what cannot be: negative, or of Hellos older than 3 minutes (RFC 9616 section 3.2).
    void sample(int64_t rtt_us) noexcept;

    bool known() const noexcept { return nb_ > 0; }
    // Of the last 63 samples.
    uint32_t p50_us() const noexcept { return p50_us_; }
    // Mean distance from the p50.
    uint32_t jitter_us() const noexcept { return jitter_us_; }
    // Exponential mean, alpha 0.836 (RFC 9616 section 4.1.2).
    uint32_t smoothed_us() const noexcept { return static_cast<uint32_t>(smoothed_us_); }

private:
    std::array<uint32_t, 63> ring_{};
    size_t nb_ = 0;
    size_t next_ = 0;
    uint32_t p50_us_ = 0;
    uint32_t jitter_us_ = 0;
    double smoothed_us_ = 0;
};

// Hysteresis: follows a value only as far as it leaves a band around the one that is held, a
// quarter of it wide and at least `slack`.
class Steady {
public:
    explicit constexpr Steady(double slack) noexcept : slack_{slack} {}

    double follow(double value) noexcept;
    double value() const noexcept { return held_.value_or(0); }

private:
    double slack_;
    std::optional<double> held_;
};

// What the delay costs, by the options (RFC 9616 section 5).
double rtt_penalty(const CostOptions& options, uint32_t rtt_us) noexcept;

}  // namespace meshgate::babel
