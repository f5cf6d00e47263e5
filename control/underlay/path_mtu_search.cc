// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/path_mtu_search.h"

#include <algorithm>
#include <array>

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

// Below the ceiling, largest first: usual tunnels, and the least MTUs of IPv6.
constexpr std::array<uint16_t, 9> kSizes{1420, 1400, 1380, 1360, 1340, 1320, 1280, 1240, 1200};
// What is lost by chance in one round gets through in another.
constexpr unsigned kRounds = 3;
// From one round to the next: longer than any usual round trip.
constexpr auto kRoundInterval = 500ms;
// Between two searches: a path that has become narrower is a hole for this long.
constexpr auto kSearchAgain = 10s;
// After a search without an answer; twice as long each time.
constexpr auto kSilentAgain = 1s;
// Of that wait: it ends up at 4 min.
constexpr unsigned kMaxDoublings = 8;

}  // namespace

PathMtuSearch::Step PathMtuSearch::poll(uint16_t link_mtu_bytes, uint16_t ceiling,
                                        uint32_t& last_id, Time now) {
    Step step;
    if (now < next_)
        return step;
    const uint16_t most = std::min(ceiling, link_mtu_bytes);
    const uint16_t present = std::min(most, mtu_bytes_);
    if (nb_rounds_ > 0 && best_ == 0) {
        begin_again(now + kSilentAgain * (1U << nb_silent_));
        nb_silent_ = std::min(nb_silent_ + 1, kMaxDoublings);
        return step;
    }
    if (nb_rounds_ > 0 && (best_ >= present || nb_rounds_ == kRounds)) {
        step.result = conclude(most, ceiling, now);
        return step;
    }
    const bool only_most = present == most && nb_rounds_ == 0;
    ++nb_rounds_;
    next_ = now + kRoundInterval;
    try_size(most, last_id, step);
    for (const uint16_t size : kSizes) {
        const bool least = size == kSizes.back();  // shows that the path answers at all
        if ((!only_most || least) && size < most)
            try_size(size, last_id, step);
    }
    return step;
}

void PathMtuSearch::try_size(uint16_t mtu_bytes, uint32_t& last_id, Step& step) {
    sent_[++last_id] = mtu_bytes;
    step.probes.push_back({last_id, mtu_bytes});
}

PathMtuSearch::Result PathMtuSearch::conclude(uint16_t most, uint16_t ceiling, Time now) {
    const uint16_t present = std::min(most, mtu_bytes_);
    Result result{.fits = std::min(best_, most)};
    result.changed = result.fits != present;
    // What our own link takes is its own affair, and may change.
    result.in_force = result.fits == most ? ceiling : result.fits;
    mtu_bytes_ = result.in_force;
    nb_silent_ = 0;
    begin_again(now + kSearchAgain);
    return result;
}

void PathMtuSearch::begin_again(Time next) {
    best_ = 0;
    nb_rounds_ = 0;
    sent_.clear();
    next_ = next;
}

bool PathMtuSearch::on_reply(uint32_t id) {
    const auto sent = sent_.find(id);
    if (sent == sent_.end())
        return false;
    best_ = std::max(best_, sent->second);
    return true;
}

void PathMtuSearch::restart() {
    nb_silent_ = 0;
    begin_again({});
}

}  // namespace meshgate::control
