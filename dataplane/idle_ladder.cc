// SPDX-License-Identifier: Apache-2.0
#include "dataplane/idle_ladder.h"

#include <rte_pause.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>

namespace meshgate {

namespace {

constexpr uint64_t kSpinMicroseconds = 20;
constexpr uint64_t kYieldMicroseconds = 200;
// With a doorbell for every queue the time-out is only a net under the rope.
constexpr long kLongSleepNs = 50'000'000;
constexpr long kShortSleepNs = 50'000;

}  // namespace

IdleLadder::IdleLadder(const Options& options)
    : may_sleep_{options.mode == IdleMode::adaptive},
      spin_tsc_{options.tsc_hz * kSpinMicroseconds / 1'000'000},
      yield_tsc_{options.tsc_hz * (kSpinMicroseconds + kYieldMicroseconds) / 1'000'000} {
    bool all_ring = true;
    for (const int fd : options.queue_doorbell_fds) {
        all_ring = all_ring && fd >= 0;
        if (fd >= 0)
            poll_fds_.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    }
    poll_fds_.push_back({.fd = options.own_doorbell_fd, .events = POLLIN, .revents = 0});
    sleep_time_.tv_nsec = all_ring ? kLongSleepNs : kShortSleepNs;
}

IdleLadder::Step IdleLadder::on_turn(unsigned nb_packets, uint64_t now_tsc) noexcept {
    if (nb_packets != 0) {
        idle_since_tsc_ = 0;
        return Step::poll;
    }
    if (idle_since_tsc_ == 0)
        idle_since_tsc_ = now_tsc;
    const uint64_t idle_tsc = now_tsc - idle_since_tsc_;
    if (!may_sleep_ || idle_tsc < spin_tsc_) {
        rte_pause();
        return Step::poll;
    }
    if (idle_tsc >= yield_tsc_)
        return Step::sleep;
    sched_yield();
    return Step::poll;
}

void IdleLadder::sleep() noexcept {
    if (ppoll(poll_fds_.data(), poll_fds_.size(), &sleep_time_, nullptr) <= 0)
        return;
    // A socket whose interface went down is readable until its error has been taken.
    for (const pollfd& entry : poll_fds_) {
        int error = 0;
        socklen_t len = sizeof error;
        if ((entry.revents & POLLERR) != 0)
            getsockopt(entry.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    }
}

}  // namespace meshgate
