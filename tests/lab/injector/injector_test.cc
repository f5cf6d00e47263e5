// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "tests/lab/injector/direction.h"

namespace meshgate::lab {
namespace {

// An IPv4 or IPv6 UDP datagram with a right checksum.
Frame datagram(bool is_v6, size_t payload_len) {
    Frame frame(14 + (is_v6 ? 40 : 20) + 8 + payload_len, 0);
    const size_t udp_len = 8 + payload_len;
    frame[12] = is_v6 ? 0x86 : 0x08;
    frame[13] = is_v6 ? 0xdd : 0x00;
    frame[14] = is_v6 ? 0x60 : 0x45;
    const size_t len_at = is_v6 ? 18 : 16;
    const size_t len = is_v6 ? udp_len : 20 + udp_len;
    frame[len_at] = static_cast<uint8_t>(len >> 8);
    frame[len_at + 1] = static_cast<uint8_t>(len);
    frame[is_v6 ? 20 : 23] = 17;
    frame[is_v6 ? 37 : 29] = 1;
    const size_t udp = is_v6 ? 54 : 34;
    frame[udp + 4] = static_cast<uint8_t>(udp_len >> 8);
    frame[udp + 5] = static_cast<uint8_t>(udp_len);
    for (size_t i = 0; i < payload_len; ++i)
        frame[udp + 8 + i] = static_cast<uint8_t>(i);
    repair_checksum(frame, *find_udp(frame));
    return frame;
}

bool checksum_is_right(const Frame& frame) {
    Frame repaired = frame;
    repair_checksum(repaired, *find_udp(frame));
    return repaired == frame;
}

TEST(Fate, LosesAsManyAsItWasTold) {
    constexpr double kLoss = 0.3;
    constexpr int kFrames = 100'000;
    Fate fate{7, 0};
    int lost = 0;
    for (int i = 0; i < kFrames; ++i)
        lost += fate.next({.loss = kLoss}).lost ? 1 : 0;
    const double sigma = std::sqrt(kFrames * kLoss * (1 - kLoss));
    EXPECT_NEAR(lost, kFrames * kLoss, 3 * sigma);
}

TEST(Fate, RepeatsItselfForTheSameSeedOnly) {
    Fate one{7, 0}, same{7, 0}, other_seed{8, 0}, other_direction{7, 1};
    int nb_seed = 0, nb_direction = 0;
    for (int i = 0; i < 1000; ++i) {
        const bool lost = one.next({.loss = 0.5}).lost;
        EXPECT_EQ(lost, same.next({.loss = 0.5}).lost);
        nb_seed += lost != other_seed.next({.loss = 0.5}).lost ? 1 : 0;
        nb_direction += lost != other_direction.next({.loss = 0.5}).lost ? 1 : 0;
    }
    EXPECT_GT(nb_seed, 400);
    EXPECT_GT(nb_direction, 400);
}

TEST(Fate, LosesBurstsOfTheExpectedLength) {
    const Faults faults{.burst_enter = 0.01, .burst_leave = 0.25};
    Fate fate{3, 0};
    int lost = 0, bursts = 0;
    bool before = false;
    for (int i = 0; i < 100'000; ++i) {
        const bool now = fate.next(faults).lost;
        lost += now ? 1 : 0;
        bursts += now && !before ? 1 : 0;
        before = now;
    }
    EXPECT_NEAR(static_cast<double>(lost) / bursts, 4, 0.5);
}

TEST(Frame, FindsUdpBehindOneVlanTag) {
    Frame frame = datagram(false, 100);
    EXPECT_EQ(find_udp(frame)->udp, 34U);
    frame.insert(frame.begin() + 12, {0x81, 0x00, 0x00, 0x07});
    EXPECT_EQ(find_udp(frame)->udp, 38U);
    EXPECT_FALSE(find_udp(Frame(60, 0)));
}

TEST(Frame, DamageIsSeenByTheChecksumUnlessRepaired) {
    for (const bool is_v6 : {false, true}) {
        const Frame good = datagram(is_v6, 101);
        ASSERT_TRUE(checksum_is_right(good));
        Frame flipped = good;
        flip_bit(flipped, *find_udp(good), 12345);
        EXPECT_FALSE(checksum_is_right(flipped));
        Frame cut = good;
        truncate(cut, *find_udp(good), 50);
        ASSERT_TRUE(find_udp(cut));
        EXPECT_EQ(cut.size(), good.size() - 101 + 50);
        repair_checksum(cut, *find_udp(cut));
        EXPECT_TRUE(checksum_is_right(cut));
    }
}

TEST(Frame, MarksCongestionInBothFamilies) {
    for (const bool is_v6 : {false, true}) {
        Frame frame = datagram(is_v6, 10);
        mark_ce(frame, *find_udp(frame));
        const unsigned ecn = is_v6 ? (frame[15] >> 4) & 3U : frame[15] & 3U;
        EXPECT_EQ(ecn, 3U);
        EXPECT_TRUE(checksum_is_right(frame));
    }
}

TEST(Direction, IsAPlainCableWithoutFaults) {
    Direction direction{1, 0};
    std::vector<Frame> out;
    for (uint64_t i = 0; i < 1000; ++i)
        direction.push(out, datagram(false, i), i);
    ASSERT_EQ(out.size(), 1000U);
    for (uint64_t i = 0; i < 1000; ++i)
        EXPECT_EQ(out[i], datagram(false, i));
}

TEST(Direction, ReordersByTheDepthItWasTold) {
    Direction direction{1, 0};
    direction.faults = {.reorder = 1, .reorder_depth = 2};
    std::vector<Frame> out;
    direction.push(out, datagram(false, 1), 0);
    direction.faults.reorder = 0;
    for (size_t len = 2; len <= 4; ++len)
        direction.push(out, datagram(false, len), 0);
    ASSERT_EQ(out.size(), 4U);
    EXPECT_EQ(out[0], datagram(false, 2));
    EXPECT_EQ(out[1], datagram(false, 3));
    EXPECT_EQ(out[2], datagram(false, 1));
}

TEST(Direction, DelaysAndLimitsTheRate) {
    Direction direction{1, 0};
    direction.faults = {.delay_ms = 5, .rate_bits_per_second = 8e6, .queue_bytes = 2000};
    std::vector<Frame> out;
    for (int i = 0; i < 4; ++i)  // each takes 1 ms on the line; the queue holds two
        direction.push(out, Frame(1000, 0), 0);
    EXPECT_TRUE(out.empty());
    EXPECT_EQ(direction.next_due_ns(), 6'000'000U);
    direction.pop_due(out, 6'999'999);
    EXPECT_EQ(out.size(), 1U);
    direction.pop_due(out, 100'000'000);
    EXPECT_EQ(out.size(), 3U);
}

TEST(Direction, ReplaysWhatItRecorded) {
    Direction direction{1, 0};
    direction.recording = true;
    std::vector<Frame> out;
    for (size_t len = 1; len <= 3; ++len)
        direction.push(out, datagram(true, len), 0);
    out.clear();
    direction.replay(out, 2);
    ASSERT_EQ(out.size(), 2U);
    EXPECT_EQ(out[0], datagram(true, 2));
    EXPECT_EQ(out[1], datagram(true, 3));
}

TEST(Direction, SelectsHandshakeMessages) {
    Direction direction{1, 0};
    direction.faults.loss = 1;
    direction.selection = Selection::handshake;
    Frame initiation = datagram(false, 148), data = datagram(false, 148);
    for (Frame* frame : {&initiation, &data})
        std::fill(frame->begin() + 42, frame->begin() + 46, uint8_t{0});
    initiation[42] = 1;
    data[42] = 4;
    std::vector<Frame> out;
    direction.push(out, initiation, 0);
    EXPECT_TRUE(out.empty());
    direction.push(out, data, 0);
    EXPECT_EQ(out.size(), 1U);
}

}  // namespace
}  // namespace meshgate::lab
