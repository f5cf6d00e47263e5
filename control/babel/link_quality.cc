// SPDX-License-Identifier: Apache-2.0
#include "control/babel/link_quality.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>

namespace meshgate::babel {

namespace {

constexpr unsigned kLossWindow = 400;  // Hellos over which the long mean of loss is taken
// So many of the last 32 more than the long mean says are no accident: at 5 % random loss it
// happens once in some hundred days of Hellos every 200 ms.
constexpr unsigned kSuddenLosses = 11;
// So many in a row are an outage: at 5 % random loss it happens once in half a year.
constexpr unsigned kOutage = 6;
constexpr double kRttAlpha = 0.836;
// A greater round trip is a clock that jumped, and is ignored.
constexpr int64_t kMaxRttUs = 180'000'000;

}  // namespace

uint16_t to_cs(Duration duration) noexcept {
    const auto cs = duration / std::chrono::milliseconds{10};
    return static_cast<uint16_t>(std::clamp<int64_t>(cs, 1, 0xffff));
}

void HelloHistory::push(bool arrived) noexcept {
    if (!arrived && missed_in_row_ == 0) {
        recent_before_ = recent_;
        slow_loss_before_ = slow_loss_;
    }
    // Hellos missed in an outage do not count as loss: the link that is back is as good as before.
    if (arrived && missed_in_row_ >= kOutage) {
        recent_ = recent_before_;
        slow_loss_ = slow_loss_before_;
    }
    bits_ = static_cast<uint16_t>(bits_ >> 1 | (arrived ? 0x8000 : 0));
    recent_ = recent_ >> 1 | (arrived ? 0x80000000 : 0);
    nb_seen_ = std::min(nb_seen_ + 1, kLossWindow);
    // The first few weigh no more than one of sixteen: one loss at the start is not a bad link.
    slow_loss_ += ((arrived ? 0.0 : 1.0) - slow_loss_) / std::max(nb_seen_, 16U);
    missed_in_row_ = arrived ? 0 : missed_in_row_ + 1;
}

bool HelloHistory::restarts_with(uint16_t seqno) const noexcept {
    return any_seen() && std::abs(int{ahead_of_expected(seqno)}) > 16;
}

void HelloHistory::heard(uint16_t seqno, uint16_t interval_cs, Time now) noexcept {
    const int16_t ahead = ahead_of_expected(seqno);
    if (restarts_with(seqno)) {
        forget();
    } else if (nb_seen_ > 0 && ahead < 0) {
        // It has made its interval longer without us noticing: what we booked was not due.
        bits_ = static_cast<uint16_t>(bits_ << -ahead);
        recent_ = recent_ << -ahead;
    } else if (nb_seen_ > 0) {
        for (int i = 0; i < ahead; ++i)
            push(false);
    }
    push(true);
    expected_ = static_cast<uint16_t>(seqno + 1);
    if (interval_cs > 0) {
        interval_ = from_cs(interval_cs);
        next_due_ = now + interval_ * 3 / 2;
    }
}

void HelloHistory::missed() noexcept {
    push(false);
    ++expected_;
    next_due_ += interval_;
}

bool HelloHistory::two_of_three() const noexcept {
    return std::popcount(static_cast<unsigned>(bits_) >> 13) >= 2;
}

double HelloHistory::loss() const noexcept {
    if (nb_seen_ < 32)
        return slow_loss_;
    const auto lost = 32 - static_cast<unsigned>(std::popcount(recent_));
    return lost > slow_loss_ * 32 + kSuddenLosses - 1 ? lost / 32.0 : slow_loss_;
}

void RttHistory::sample(int64_t rtt_us) noexcept {
    if (rtt_us < 0 || rtt_us > kMaxRttUs)
        return;
    const auto value = static_cast<uint32_t>(rtt_us);
    smoothed_us_ = known() ? kRttAlpha * smoothed_us_ + (1 - kRttAlpha) * value : value;
    ring_[next_] = value;
    next_ = (next_ + 1) % ring_.size();
    nb_ = std::min(nb_ + 1, ring_.size());

    std::array<uint32_t, 63> sorted = ring_;
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(nb_);
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(nb_ / 2);
    std::nth_element(sorted.begin(), middle, end);
    p50_us_ = *middle;
    uint64_t sum = 0;
    for (auto it = sorted.begin(); it != end; ++it)
        sum += *it > p50_us_ ? *it - p50_us_ : p50_us_ - *it;
    jitter_us_ = static_cast<uint32_t>(sum / nb_);
}

double Steady::follow(double value) noexcept {
    if (!held_)
        held_ = value;
    // No band next to nothing, or a link that was bad once would cost more than its like for ever.
    const double play = value < slack_ / 8 ? 0 : std::max(slack_, *held_ / 4);
    held_ = std::clamp(*held_, value - play, value + play);
    return *held_;
}

double rtt_penalty(const CostOptions& options, uint32_t rtt_us) noexcept {
    if (options.max_rtt_penalty == 0 || options.rtt_max_us <= options.rtt_min_us)
        return 0;
    const double above = std::max(0.0, double{1} * rtt_us - options.rtt_min_us);
    const double range = double{1} * options.rtt_max_us - options.rtt_min_us;
    return options.max_rtt_penalty * std::min(1.0, above / range);
}

}  // namespace meshgate::babel
