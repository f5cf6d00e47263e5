// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/idle_ladder.h"

#include <rte_pause.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace meshgate {

namespace {

// How long to poll, and then to yield between polls, before sleeping.
struct Patience {
    uint64_t spin_us;
    uint64_t yield_us;
};
// Workers that float share their cores with hosts' kernels, other boxes and control: a worker that
// spins takes the time of those whose packets it waits for, and one that yields does not. Between
// two boxes and two hosts on two busy cores, over af_packet, yielding for a while moved more TCP
// than sleeping at once or spinning first (two to three runs of each; over af_xdp no clear
// difference).
constexpr Patience kFloating{0, 200};
// A core of its own may be kept warm.
constexpr Patience kPinned{50, 200};
// No doorbell to be woken by: sleep late.
constexpr Patience kWithoutDoorbell{20, 200};

// With a doorbell for every queue the timeout of a sleep is only a fallback.
constexpr long kSleepNs = 50'000'000;
// Without one it is what a packet waits for: an eighth of the silence before it, and never more
// than a millisecond with what the kernel's timer adds.
constexpr long kShortestNapNs = 50'000;
constexpr long kLongestNapNs = 600'000;  // a worker without doorbells sleeps no longer
constexpr double kNapShare = 0.125;      // of the silence before it

}  // namespace

IdleLadder::IdleLadder(const Options& options) : may_sleep_{options.mode == IdleMode::adaptive} {
    Patience patience = options.core == CoreUse::pinned ? kPinned : kFloating;
    for (const int fd : options.queue_doorbell_fds) {
        if (fd >= 0)
            poll_fds_.push_back({.fd = fd, .events = POLLIN, .revents = 0});
        else
            all_ring_ = false;
    }
    if (!all_ring_)
        patience = kWithoutDoorbell;
    poll_fds_.push_back({.fd = options.own_doorbell_fd, .events = POLLIN, .revents = 0});
    spin_tsc_ = options.tsc_hz / 1'000'000 * patience.spin_us;
    yield_tsc_ = options.tsc_hz / 1'000'000 * patience.yield_us;
    sleep_ns_ = all_ring_ ? kSleepNs : kShortestNapNs;
    ns_per_tsc_ = 1e9 / static_cast<double>(options.tsc_hz);
}

IdleLadder::Step IdleLadder::on_turn(unsigned nb_packets, uint64_t now_tsc) noexcept {
    if (nb_packets != 0) {
        idle_since_tsc_ = 0;
        queue_rang_ = false;
        return Step::poll;
    }
    if (idle_since_tsc_ == 0)
        idle_since_tsc_ = now_tsc;
    const uint64_t idle_tsc = now_tsc - idle_since_tsc_;
    if (!may_sleep_ || idle_tsc < spin_tsc_) {
        rte_pause();
        return Step::poll;
    }
    if (idle_tsc >= spin_tsc_ + yield_tsc_) {
        if (!all_ring_)
            sleep_ns_ = nap_ns(idle_tsc);
        return Step::sleep;
    }
    sched_yield();
    return Step::poll;
}

long IdleLadder::nap_ns(uint64_t idle_tsc) const noexcept {
    const double share_ns = static_cast<double>(idle_tsc) * ns_per_tsc_ * kNapShare;
    return share_ns < kLongestNapNs ? std::max(kShortestNapNs, static_cast<long>(share_ns))
                                    : kLongestNapNs;
}

void IdleLadder::sleep() noexcept {
    if (std::exchange(queue_rang_, false)) {
        const timespec nap{.tv_sec = 0, .tv_nsec = kShortestNapNs};
        ppoll(&poll_fds_.back(), 1, &nap, nullptr);
        return;
    }
    const timespec duration{.tv_sec = 0, .tv_nsec = sleep_ns_};
    if (ppoll(poll_fds_.data(), poll_fds_.size(), &duration, nullptr) <= 0)
        return;
    queue_rang_ = poll_fds_.back().revents == 0;
    // A socket whose interface went down is readable until its error has been taken.
    for (const pollfd& entry : poll_fds_) {
        int error = 0;
        socklen_t len = sizeof error;
        if ((entry.revents & POLLERR) != 0)
            getsockopt(entry.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    }
}

}  // namespace meshgate
