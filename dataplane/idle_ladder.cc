// SPDX-License-Identifier: Apache-2.0
#include "dataplane/idle_ladder.h"

#include <rte_pause.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>

namespace meshgate {

namespace {

// How long to poll, and then to yield between polls, before sleeping.
struct Patience {
    uint64_t spin_us;
    uint64_t yield_us;
    long sleep_ns;
};
// Workers that float share their cores with hosts' kernels, other boxes and control: a worker that
// spins takes the time of those whose packets it waits for, and one that yields does not. Between
// two boxes and two hosts on two busy cores, over af_packet, yielding for a while moved more TCP
// than sleeping at once or spinning first (two to three runs of each; over af_xdp no clear
// difference). With a doorbell for every queue the end of a sleep is only a net under the rope.
constexpr Patience kFloating{0, 200, 50'000'000};
// A core of one's own is worth some warmth.
constexpr Patience kPinned{50, 200, 50'000'000};
// Nobody would wake us: sleep late and in short pieces.
constexpr Patience kWithoutDoorbell{20, 200, 50'000};

}  // namespace

IdleLadder::IdleLadder(const Options& options) : may_sleep_{options.mode == IdleMode::adaptive} {
    Patience patience = options.core == CoreUse::pinned ? kPinned : kFloating;
    for (const int fd : options.queue_doorbell_fds) {
        if (fd >= 0)
            poll_fds_.push_back({.fd = fd, .events = POLLIN, .revents = 0});
        else
            patience = kWithoutDoorbell;
    }
    poll_fds_.push_back({.fd = options.own_doorbell_fd, .events = POLLIN, .revents = 0});
    spin_tsc_ = options.tsc_hz / 1'000'000 * patience.spin_us;
    yield_tsc_ = options.tsc_hz / 1'000'000 * patience.yield_us;
    sleep_time_.tv_nsec = patience.sleep_ns;
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
    if (idle_tsc >= spin_tsc_ + yield_tsc_)
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
