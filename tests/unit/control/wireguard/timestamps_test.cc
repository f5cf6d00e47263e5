// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/device.h"

#include <gtest/gtest.h>

#include "control/wireguard/timestamp.h"
#include "tests/unit/control/wireguard/fixture.h"

namespace meshgate::wireguard {
namespace {

constexpr PeerId kPeer = Bench::kPeer;

TEST(Handshake, W14_OwnTimestampsGrowWhateverTheWallClockDoes) {
    Bench bench;
    std::array<uint8_t, 12> last{};
    uint64_t now_ns = kMinute;
    for (const int64_t wall_s : {1'700'000'000, 1'600'000'000, 0, 1'600'000'000, 1'900'000'000}) {
        const Now now = Now::at(now_ns, static_cast<uint64_t>(wall_s) * kNsPerSecond);
        bench.a.device.on_no_session(kPeer, now);
        bench.a.device.tick(now);
        const std::optional<SendMessage> message = bench.a.take_message();
        ASSERT_TRUE(message);
        bench.give(bench.b, *message, at(now_ns));
        const std::array<uint8_t, 12> timestamp = bench.b.peer().greatest_timestamp;
        EXPECT_LT(last, timestamp) << wall_s;
        last = timestamp;
        now_ns += 6 * kNsPerSecond;
    }
    EXPECT_EQ(bench.b.count(HandshakeEvent::initiation_received), 5U);
}

TEST(Handshake, W14_TimestampsStayAboveTheMarkOfAnEarlierRun) {
    Bench bench;
    const uint64_t mark_ns = 2'000'000'000 * kNsPerSecond;
    bench.a.device.raise_timestamp_floor(mark_ns);
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    Timestamp timestamp;
    timestamp.bytes = bench.b.peer().greatest_timestamp;
    EXPECT_GT(timestamp, Timestamp::from_wall(mark_ns));
    EXPECT_LT(timestamp, Timestamp::from_wall(mark_ns + 40 * kNsPerMs));
    EXPECT_EQ(bench.a.device.greatest_timestamp_sent_ns(), timestamp.wall_ns());
}

TEST(Handshake, W15_RefusesAReplayedInitiation) {
    Bench bench;
    std::vector<SendMessage> recorded;
    for (uint64_t n = 0; n < 5; ++n) {
        const Now now = at(n * kMinute);
        recorded.push_back(initiation(bench.a, now));
        bench.give(bench.b, recorded.back(), now);
        bench.give(bench.a, *bench.b.take_message(), now);
        bench.a.device.clear_sessions(now);
        bench.a.drain();
    }
    bench.b.actions.clear();
    for (uint64_t n = 0; n < 50; ++n)
        bench.give(bench.b, recorded[n % recorded.size()], bench.from_box(9),
                   at((6 + n) * kMinute));
    EXPECT_FALSE(bench.b.take_message());
    EXPECT_TRUE(bench.b.actions.empty());
    EXPECT_EQ(bench.b.peer().endpoint->remote, endpoint_of(1));
    EXPECT_EQ(bench.b.count(HandshakeEvent::replayed_initiation), 10U);
    EXPECT_EQ(bench.b.count(HandshakeEvent::timestamp_in_past), 40U);
}

TEST(Handshake, W15_TheTimestampOutlivesTheSession) {
    Bench bench;
    const SendMessage recorded = initiation(bench.a, at(1));
    bench.give(bench.b, recorded, at(1));
    bench.b.device.clear_sessions(at(2));
    bench.b.device.tick(at(kHour));
    bench.b.drain();
    bench.b.messages.clear();
    bench.give(bench.b, recorded, at(2 * kHour));
    EXPECT_FALSE(bench.b.take_message());
}

// After a restart of the responder its memory is gone.
TEST(Handshake, W15_AReplayAfterARestartDisturbsNoLiveSession) {
    Bench bench;
    const SendMessage old = initiation(bench.a, at(1));
    bench.a.device.clear_sessions(at(2));
    bench.a.drain();
    bench.a.messages.clear();
    // The responder starts now; a new session is made, then the old initiation is replayed.
    Bench fresh;
    fresh.a.device.raise_timestamp_floor(at(3).wall_ns);
    fresh.give(fresh.b, old, fresh.from_box(9), at(kMinute));
    EXPECT_EQ(fresh.b.messages.size(), 1U);  // at most one answer
    fresh.b.messages.clear();
    EXPECT_EQ(fresh.b.peer().endpoint->remote, endpoint_of(9));  // until the next authentic packet
    fresh.handshake(fresh.a, fresh.b, at(2 * kMinute));
    EXPECT_EQ(fresh.b.peer().endpoint->remote, endpoint_of(1));
    const uint32_t current = fresh.b.peer().current_local_index;
    for (uint64_t n = 0; n < 10; ++n)
        fresh.give(fresh.b, old, fresh.from_box(9), at(2 * kMinute + n * kNsPerSecond));
    EXPECT_EQ(fresh.b.peer().current_local_index, current);
    EXPECT_EQ(fresh.b.peer().session, SessionState::established);
    EXPECT_EQ(fresh.b.peer().endpoint->remote, endpoint_of(1));
    EXPECT_TRUE(fresh.b.messages.empty());
}

// The same, with the replay falling into a session that lives: it may fill `next`, no more.
TEST(Handshake, W15_AnUnconfirmedSessionLeavesCurrentAndPreviousAlone) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(1));
    bench.a.device.clear_sessions(at(2));
    bench.handshake(bench.a, bench.b, at(kMinute));
    const uint32_t current = bench.b.peer().current_local_index;
    bench.a.device.clear_sessions(at(kMinute));
    bench.a.drain();
    bench.b.actions.clear();
    bench.give(bench.b, initiation(bench.a, at(2 * kMinute)), at(2 * kMinute));
    EXPECT_EQ(bench.b.peer().current_local_index, current);
    EXPECT_EQ(bench.b.nb<RemoveKeypair>(), 0U);
    EXPECT_EQ(bench.b.nb<UseForSending>(), 0U);
}

TEST(Handshake, W16_OneInitiationPer20MillisecondsEvenWithACookie) {
    Bench bench;
    // The peer misbehaves: a device of its own identity for each initiation, clocks ahead.
    const auto next = [](uint64_t n) {
        Bench other;
        other.a.device.raise_timestamp_floor(at(kHour * (n + 1)).wall_ns);
        return initiation(other.a, at(1));
    };
    const uint64_t start_ns = kMinute;
    bench.give(bench.b, next(0), at(start_ns));
    bench.give(bench.b, next(1), at(start_ns + 20 * kNsPerMs - 1));
    EXPECT_EQ(bench.b.count(HandshakeEvent::initiation_flood), 1U);
    bench.give(bench.b, next(2), at(start_ns + 20 * kNsPerMs));
    EXPECT_EQ(bench.b.count(HandshakeEvent::initiation_received), 2U);

    // Under load, with a valid cookie, the gate stands as it is.
    Bench ahead;
    ahead.a.device.raise_timestamp_floor(at(kHour * 9).wall_ns);
    const SendMessage bare = initiation(ahead.a, at(1));
    const Now loaded = at(start_ns + 30 * kNsPerMs);
    bench.b.messages.clear();
    bench.give(bench.b, bare, loaded, 512);
    ahead.give(ahead.a, *bench.b.take_message(), at(2));
    ahead.a.device.tick(at(6 * kNsPerSecond));
    bench.give(bench.b, *ahead.a.take_message(), loaded, 512);
    EXPECT_EQ(bench.b.count(HandshakeEvent::initiation_flood), 2U);
}

TEST(Handshake, W17_AtMostOneInitiationPerRekeyTimeout) {
    Bench bench;
    std::vector<uint64_t> sent_ns;
    for (uint64_t ms = 0; ms < 60'000; ++ms) {
        const Now now = at(kMinute + ms * kNsPerMs);
        bench.a.device.on_no_session(kPeer, now);
        bench.a.device.tick(now);
        while (bench.a.take_message())
            sent_ns.push_back(now.mono_ns());
    }
    EXPECT_GE(sent_ns.size(), 11U);
    for (size_t n = 1; n < sent_ns.size(); ++n)
        EXPECT_GE(sent_ns[n] - sent_ns[n - 1], 5 * kNsPerSecond);
}

TEST(Handshake, W17_HoldsAfterASessionToo) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(kMinute));
    bench.a.device.on_install_failed(bench.a.peer().current_local_index,
                                     at(kMinute + kNsPerSecond));
    EXPECT_FALSE(bench.a.take_message());
    bench.a.device.tick(at(kMinute + 5 * kNsPerSecond - 1));
    EXPECT_FALSE(bench.a.take_message());
    bench.a.device.tick(at(kMinute + 5 * kNsPerSecond + 333 * kNsPerMs));
    EXPECT_TRUE(bench.a.take_message());  // but it is not forgotten
}

}  // namespace
}  // namespace meshgate::wireguard
