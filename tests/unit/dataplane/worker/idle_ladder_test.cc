// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/idle_ladder.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <rte_cycles.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "dataplane/worker/doorbell.h"

namespace meshgate {
namespace {

bool is_readable(int fd, int timeout_ms = 0) {
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&entry, 1, timeout_ms) == 1;
}

TEST(Doorbell, RingsOnlyWhileArmed) {
    Result<Doorbell> bell = Doorbell::create();
    ASSERT_TRUE(bell);
    bell->ring();
    EXPECT_FALSE(is_readable(bell->fd()));
    bell->arm();
    bell->ring();
    EXPECT_TRUE(is_readable(bell->fd()));
    bell->disarm();
    EXPECT_FALSE(is_readable(bell->fd()));
}

TEST(Doorbell, NeverLosesWorkPutInPlaceBeforeSleep) {
    Result<Doorbell> bell = Doorbell::create();
    ASSERT_TRUE(bell);
    constexpr unsigned kRounds = 20'000;
    std::atomic<unsigned> put{0};
    std::atomic<unsigned> taken{0};
    std::atomic<bool> overslept{false};
    std::thread worker{[&] {
        while (taken.load() < kRounds && !overslept) {
            bell->arm();
            const bool has_work = put.load(std::memory_order_relaxed) != taken.load();
            overslept = !has_work && !is_readable(bell->fd(), 5000);
            bell->disarm();
            taken.store(put.load());
        }
    }};
    for (unsigned round = 1; round <= kRounds && !overslept; ++round) {
        put.store(round, std::memory_order_relaxed);
        bell->ring();
        while (taken.load() != round && !overslept)
            std::this_thread::yield();
    }
    worker.join();
    EXPECT_FALSE(overslept) << "slept on work";
}

IdleLadder::Options idle_options(int fd) {
    return {.mode = IdleMode::adaptive,
            .core = IdleLadder::CoreUse::floating,
            .queue_doorbell_fds = {},
            .own_doorbell_fd = fd,
            .tsc_hz = 1'000'000'000};  // one clock is one nanosecond
}

TEST(IdleLadder, SleepsOnlyAfterAWhileWithoutPackets) {
    IdleLadder::Options floating = idle_options(-1);
    IdleLadder::Options pinned = idle_options(-1);
    pinned.core = IdleLadder::CoreUse::pinned;
    IdleLadder::Options deaf = idle_options(-1);
    deaf.queue_doorbell_fds = {-1};
    constexpr uint64_t kLongTsc = 10'000'000;
    for (const IdleLadder::Options& options : {floating, pinned, deaf}) {
        IdleLadder idle{options};
        EXPECT_EQ(idle.on_turn(0, 1000), IdleLadder::Step::poll);
        EXPECT_EQ(idle.on_turn(0, 101'000), IdleLadder::Step::poll);
        EXPECT_EQ(idle.on_turn(0, 1000 + kLongTsc), IdleLadder::Step::sleep);
        EXPECT_EQ(idle.on_turn(1, 2000 + kLongTsc), IdleLadder::Step::poll);
        EXPECT_EQ(idle.on_turn(0, 3000 + kLongTsc), IdleLadder::Step::poll) << "from the bottom";
        EXPECT_EQ(idle.on_turn(0, 3000 + 2 * kLongTsc), IdleLadder::Step::sleep);
    }
}

TEST(IdleLadder, NeverSleepsWhenBusy) {
    IdleLadder::Options options = idle_options(-1);
    options.mode = IdleMode::busy;
    IdleLadder idle{options};
    for (uint64_t tsc = 1; tsc < 10'000'000'000; tsc += 1'000'000'000)
        EXPECT_EQ(idle.on_turn(0, tsc), IdleLadder::Step::poll);
}

// The shortest of several: a busy machine may keep us from running after we woke.
int64_t microseconds_of_sleep(IdleLadder& idle) {
    int64_t shortest = INT64_MAX;
    for (int i = 0; i < 10; ++i) {
        const auto start = std::chrono::steady_clock::now();
        idle.sleep();
        const auto end = std::chrono::steady_clock::now();
        const auto slept = std::chrono::duration_cast<std::chrono::microseconds>(end - start);
        shortest = std::min<int64_t>(shortest, slept.count());
    }
    return shortest;
}

TEST(IdleLadder, WakesWhenADoorbellRings) {
    Result<Doorbell> bell = Doorbell::create();
    Result<Doorbell> queue = Doorbell::create();  // stands for a socket with a frame in it
    ASSERT_TRUE(bell && queue);
    IdleLadder::Options options = idle_options(bell->fd());
    options.queue_doorbell_fds = {queue->fd()};
    IdleLadder idle{options};
    EXPECT_GE(microseconds_of_sleep(idle), 20'000);
    queue->arm();
    queue->ring();
    EXPECT_LT(microseconds_of_sleep(idle), 20'000);
    queue->disarm();
    bell->arm();
    bell->ring();
    EXPECT_LT(microseconds_of_sleep(idle), 20'000);
}

TEST(IdleLadder, NapsAfterADoorbellThatBroughtNothing) {
    Result<Doorbell> bell = Doorbell::create();
    Result<Doorbell> queue = Doorbell::create();  // readable, and its driver gives nothing
    ASSERT_TRUE(bell && queue);
    IdleLadder::Options options = idle_options(bell->fd());
    options.queue_doorbell_fds = {queue->fd()};
    IdleLadder idle{options};
    queue->arm();
    queue->ring();
    const auto two_sleeps_take = [&idle](unsigned nb_packets_between) {
        int64_t shortest_us = INT64_MAX;
        for (int i = 0; i < 10; ++i) {
            const auto start = std::chrono::steady_clock::now();
            idle.sleep();
            idle.on_turn(nb_packets_between, 1000);
            idle.sleep();
            idle.on_turn(1, 1000);
            const auto end = std::chrono::steady_clock::now();
            shortest_us = std::min<int64_t>(
                shortest_us,
                std::chrono::duration_cast<std::chrono::microseconds>(end - start).count());
        }
        return shortest_us;
    };
    EXPECT_GE(two_sleeps_take(0), 50);
    EXPECT_LT(two_sleeps_take(1), 50) << "packets came";
    bell->arm();
    bell->ring();
    EXPECT_LT(two_sleeps_take(0), 50) << "others may wake it from its nap";
}

TEST(IdleLadder, LooksOftenWhereAQueueHasNoDoorbell) {
    IdleLadder::Options options = idle_options(-1);
    options.queue_doorbell_fds = {-1};
    IdleLadder idle{options};
    EXPECT_LT(microseconds_of_sleep(idle), 20'000);
}

TEST(IdleLadder, NapsTheLongerTheLongerNothingCameWithoutADoorbell) {
    IdleLadder::Options options = idle_options(-1);
    options.queue_doorbell_fds = {-1};
    IdleLadder idle{options};
    const auto nap_after = [&idle](uint64_t idle_ns) {
        idle.on_turn(1, 1);
        EXPECT_EQ(idle.on_turn(0, 1), IdleLadder::Step::poll);
        EXPECT_EQ(idle.on_turn(0, 1 + idle_ns), IdleLadder::Step::sleep);
        return microseconds_of_sleep(idle);
    };
    EXPECT_GE(nap_after(1'000'000), 125) << "an eighth";
    EXPECT_GE(nap_after(4'000'000), 500);
    EXPECT_LT(nap_after(3'600'000'000'000), 20'000) << "but not for seconds";
}

}  // namespace
}  // namespace meshgate
