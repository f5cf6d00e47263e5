// SPDX-License-Identifier: Apache-2.0
// Whole devices over a virtual internet. Hours pass in milliseconds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/unit/control/wireguard/fixture.h"

namespace meshgate::wireguard {
namespace {

constexpr auto kInitiation = MessageType::initiation;
constexpr auto kResponse = MessageType::response;

// Two boxes that know each other.
struct Two : World {
    explicit Two(uint64_t seed, Timings timings = {}) : World{seed, timings} {
        add_box();
        add_box();
        join(0, 1);
        up();
    }
    void both_wires(const Wire& wire_options) {
        wire(0, 1) = wire_options;
        wire(1, 0) = wire_options;
    }
    size_t nb_sessions() {
        return device(0).counters()[static_cast<size_t>(HandshakeEvent::completed)];
    }
};

double seconds(uint64_t ns) {
    return static_cast<double>(ns) / static_cast<double>(kNsPerSecond);
}

TEST(World, FirstPacketArrivesAfterOneRoundTripAndAHalf) {
    Two world{1};
    const uint64_t start_ns = world.now_ns();
    world.send(0, 1);
    ASSERT_TRUE(world.run_until_delivered(0, 1, 1, kNsPerSecond));
    EXPECT_EQ(world.now_ns() - start_ns, 15 * kNsPerMs);
    EXPECT_EQ(world.nb_logged(0, kInitiation), 1U);
    EXPECT_EQ(world.nb_logged(1, kResponse), 1U);
}

// Ten pings after first contact, as W05 counts them: a keepalive more is allowed.
TEST(World, W05_TenPingsCostWhatTheyShould) {
    Two world{1};
    for (int n = 0; n < 10; ++n) {
        world.send(0, 1);
        ASSERT_TRUE(world.run_until_delivered(0, 1, static_cast<uint64_t>(n) + 1, kNsPerSecond));
        world.send(1, 0);
        world.run_for(kNsPerSecond);
    }
    size_t bytes_0 = 0, bytes_1 = 0;
    for (const Sent& sent : world.log())
        (sent.from == 0 ? bytes_0 : bytes_1) += sent.len;
    EXPECT_EQ(bytes_0, 10U * 128 + 148);
    EXPECT_EQ(bytes_1, 10U * 128 + 92);
}

TEST(World, W28_AnHourOfTrafficRekeysEvery120SecondsAndLosesNothing) {
    Two world{2};
    world.send_every(0, 1, 100 * kNsPerMs, world.now_ns() + kHour);
    world.send_every(1, 0, 100 * kNsPerMs, world.now_ns() + kHour);
    world.run_for(kHour + kNsPerSecond);
    for (const auto& [from, to] : {std::pair{0U, 1U}, std::pair{1U, 0U}}) {
        EXPECT_EQ(world.flow(from, to).delivered, world.flow(from, to).sent);
        EXPECT_EQ(world.flow(from, to).delivered_twice, 0U);
    }
    // 30 sessions of 120 s, and the initiator stays the same.
    EXPECT_GE(world.nb_logged(0, kInitiation) + world.nb_logged(1, kInitiation), 29U);
    EXPECT_LE(world.nb_logged(0, kInitiation) + world.nb_logged(1, kInitiation), 32U);
    EXPECT_EQ(world.nb_unknown_index(), 0U);
    EXPECT_LE(world.nb_keypairs(0), 2U);
}

// One-way traffic, towards the initiator: it rekeys at its last chance, at 165 s.
TEST(World, W28_AReceivingInitiatorRekeysInTime) {
    Two world{3};
    world.send(0, 1);
    world.run_for(kNsPerSecond);
    world.clear_log();
    world.send_every(1, 0, 100 * kNsPerMs, world.now_ns() + kHour);
    world.run_for(kHour + kNsPerSecond);
    EXPECT_EQ(world.flow(1, 0).delivered, world.flow(1, 0).sent);
    // Keepalives every 10 s are sent packets: they rekey after 120 s already.
    EXPECT_GE(world.nb_logged(0, kInitiation), 27U);
    EXPECT_EQ(world.nb_logged(1, kInitiation), 0U);
}

TEST(World, W32_OneWayTrafficIsAnsweredByKeepalives) {
    Two world{4};
    world.send(0, 1);
    world.run_for(kNsPerSecond);
    world.clear_log();
    world.send_every(0, 1, kNsPerSecond, world.now_ns() + 100 * kNsPerSecond);
    world.run_for(100 * kNsPerSecond);
    EXPECT_GE(world.nb_logged(1, kData, 32), 9U);
    EXPECT_LE(world.nb_logged(1, kData, 32), 10U);
    EXPECT_EQ(world.nb_logged(0, kInitiation), 0U);  // never taken for dead
}

TEST(World, W33_ADayOfIdlenessIsSilent) {
    Two world{5};
    world.send(0, 1);
    world.run_for(kMinute);
    world.clear_log();
    world.run_for(24 * kHour);
    EXPECT_TRUE(world.log().empty());
    EXPECT_EQ(world.nb_keypairs(0) + world.nb_keypairs(1), 0U);
}

TEST(World, W34_PersistentKeepalivesHoldASessionForADay) {
    World world{6};
    world.add_box();
    world.add_box();
    world.join(0, 1, 25);
    world.up();
    world.run_for(kMinute);
    world.clear_log();
    world.run_for(24 * kHour);
    size_t nb_gaps = 0;
    uint64_t last_ns = world.log().front().at_ns;
    for (const Sent& sent : world.log()) {
        nb_gaps += sent.at_ns - last_ns > 26 * kNsPerSecond ? 1 : 0;
        last_ns = sent.at_ns;
    }
    EXPECT_EQ(nb_gaps, 0U);
    EXPECT_EQ(world.peer(0, 1).session, SessionState::established);
}

// F11: idle until the session is about to end, then one packet. (Half a second past each full one:
// within half a round trip of its end a session may end on one side only, as the protocol has it.)
TEST(World, W30_APacketAtAnyAgeOfTheSessionArrives) {
    for (uint64_t idle_s = 100; idle_s <= 260; ++idle_s) {
        Two world{idle_s};
        world.send(0, 1);
        world.run_for(idle_s * kNsPerSecond + 500 * kNsPerMs);
        const unsigned from = idle_s % 2 == 0 ? 0 : 1;
        const unsigned to = 1 - from;
        const uint64_t before = world.flow(from, to).delivered;
        world.send(from, to);
        EXPECT_TRUE(world.run_until_delivered(from, to, before + 1, kNsPerSecond)) << idle_s;
    }
}

TEST(World, W37_RekeyingUnderLoadLosesNothing) {
    Timings fast;
    fast.rekey_after_time_ns = kNsPerSecond;
    fast.rekey_timeout_ns = 500 * kNsPerMs;
    fast.rekey_timeout_jitter_ns = 100 * kNsPerMs;
    Two world{7, fast};
    world.both_wires({.delay_ns = 20 * kNsPerMs});
    const uint64_t end_ns = world.now_ns() + kHour + 10 * kMinute;
    world.send_every(0, 1, 37 * kNsPerMs, end_ns);
    world.send_every(1, 0, 41 * kNsPerMs, end_ns);
    world.run_for(kHour + 10 * kMinute + kNsPerSecond);
    EXPECT_GE(world.nb_sessions(), 3600U);
    for (const auto& [from, to] : {std::pair{0U, 1U}, std::pair{1U, 0U}})
        EXPECT_EQ(world.flow(from, to).delivered, world.flow(from, to).sent);
    EXPECT_EQ(world.nb_unknown_index(), 0U);
    EXPECT_EQ(world.nb_bad_tags(), 0U);
}

// ---- both at once ----

TEST(World, W12_SimultaneousInitiationsConvergeAtOnce) {
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        Two world{seed};
        world.both_wires({.delay_ns = 30 * kNsPerMs, .jitter_ns = (seed % 4) * 10 * kNsPerMs});
        world.send(0, 1);
        world.run_for((seed % 50) * kNsPerMs);
        world.send(1, 0);
        ASSERT_TRUE(world.run_until_delivered(0, 1, 1, 5'340 * kNsPerMs)) << seed;
        ASSERT_TRUE(world.run_until_delivered(1, 0, 1, 5'340 * kNsPerMs)) << seed;
        world.run_for(kNsPerSecond);
        // Both send with the same session.
        const uint64_t end_ns = world.now_ns() + 100 * kNsPerSecond;
        world.send_every(0, 1, 100 * kNsPerMs, end_ns);
        world.send_every(1, 0, 100 * kNsPerMs, end_ns);
        world.clear_log();
        world.run_for(50 * kNsPerSecond);
        EXPECT_NE(world.peer(0, 1).current_initiator, world.peer(1, 0).current_initiator) << seed;
        EXPECT_EQ(world.nb_logged(0, kInitiation) + world.nb_logged(1, kInitiation), 0U) << seed;
        for (const auto& [from, to] : {std::pair{0U, 1U}, std::pair{1U, 0U}})
            EXPECT_GE(world.flow(from, to).delivered + 5, world.flow(from, to).sent) << seed;
    }
}

// The same in the middle of traffic: nothing may be lost.
TEST(World, W12_SimultaneousRekeyingLosesNothing) {
    for (uint64_t seed = 1; seed <= 100; ++seed) {
        Two world{seed};
        world.both_wires({.delay_ns = 30 * kNsPerMs});
        world.send(0, 1);
        world.run_for(10 * kNsPerSecond);
        const uint64_t end_ns = world.now_ns() + 10 * kNsPerSecond;
        world.send_every(0, 1, 3 * kNsPerMs, end_ns);
        world.send_every(1, 0, 3 * kNsPerMs, end_ns);
        world.run_for(5 * kNsPerSecond);
        world.device(0).on_no_session(World::peer_id(1), world.now());
        world.run_for((seed % 40) * kNsPerMs);
        world.device(1).on_no_session(World::peer_id(0), world.now());
        world.run_for(10 * kNsPerSecond);
        for (const auto& [from, to] : {std::pair{0U, 1U}, std::pair{1U, 0U}})
            EXPECT_EQ(world.flow(from, to).delivered, world.flow(from, to).sent) << seed;
        EXPECT_NE(world.peer(0, 1).current_initiator, world.peer(1, 0).current_initiator) << seed;
    }
}

// ---- a box that restarts soon after a handshake ----

struct Restart {
    unsigned initiator;  // of the session before
    unsigned restarted;
    uint64_t after_ms;
    unsigned lost_from;  // whose datagrams are lost
    uint64_t lost_ms;    // for so long
};

// How long until packets arrive both ways again.
uint64_t outage_ns(uint64_t seed, const Restart& one) {
    Two world{seed};
    world.both_wires({.delay_ns = 10 * kNsPerMs});
    world.send(one.initiator, 1 - one.initiator);
    world.run_for(30 * kNsPerMs);
    const uint64_t handshake_ns = world.now_ns();
    const uint64_t all_ns = handshake_ns + kMinute;
    world.send_every(0, 1, 100 * kNsPerMs, all_ns);
    world.send_every(1, 0, 100 * kNsPerMs, all_ns);
    world.run_for(one.after_ms * kNsPerMs);
    world.restart(one.restarted);
    const uint64_t restart_ns = world.now_ns();
    world.wire(one.lost_from, 1 - one.lost_from).loss = 1;
    world.run_for(one.lost_ms * kNsPerMs);
    world.wire(one.lost_from, 1 - one.lost_from).loss = 0;
    for (const auto& [from, to] : {std::pair{0U, 1U}, std::pair{1U, 0U}}) {
        const uint64_t before = world.flow(from, to).delivered;
        EXPECT_TRUE(world.run_until_delivered(from, to, before + 5, kMinute));
    }
    const uint64_t result = world.now_ns() - restart_ns;
    // It stays so.
    world.run_for(kNsPerSecond);
    const auto settled = std::pair{world.flow(0, 1), world.flow(1, 0)};
    world.run_for(20 * kNsPerSecond);
    EXPECT_GE(world.flow(0, 1).delivered - settled.first.delivered, 199U);
    EXPECT_GE(world.flow(1, 0).delivered - settled.second.delivered, 199U);
    EXPECT_NE(world.peer(0, 1).current_initiator, world.peer(1, 0).current_initiator);
    return result;
}

TEST(World, W12_ARestartIsNoCollision) {
    for (unsigned order = 0; order < 4; ++order) {
        for (const uint64_t after_ms : {1'100U, 1'500U, 2'000U, 3'000U, 4'000U, 4'900U, 5'500U}) {
            const Restart one{.initiator = order & 1U,
                              .restarted = order >> 1U,
                              .after_ms = after_ms,
                              .lost_from = 0,
                              .lost_ms = 0};
            // One handshake; five packets at ten a second.
            EXPECT_LE(outage_ns(order + 1, one), 2 * kNsPerSecond)
                << order << " after " << after_ms;
        }
    }
}

// Whatever is lost then, and however soon it is: the wait is that for the next initiation.
TEST(World, W12_ARestartIsOverWithTheNextHandshake) {
    for (unsigned order = 0; order < 8; ++order) {
        for (uint64_t after_ms = 0; after_ms < 6'000; after_ms += 500) {
            for (const uint64_t lost_ms : {0U, 15U, 25U, 35U, 150U, 400U}) {
                const Restart one{.initiator = order & 1U,
                                  .restarted = (order >> 1U) & 1U,
                                  .after_ms = after_ms,
                                  .lost_from = order >> 2U,
                                  .lost_ms = lost_ms};
                EXPECT_LE(outage_ns(order + 1, one), 6'500 * kNsPerMs)
                    << order << " after " << after_ms << " lost for " << lost_ms;
            }
        }
    }
}

// ---- faults ----

uint64_t percentile(std::vector<uint64_t> values, double share) {
    std::sort(values.begin(), values.end());
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

TEST(Faults, F1_HandshakesConvergeThrough30PercentLoss) {
    std::vector<uint64_t> took_ns;
    for (uint64_t seed = 1; seed <= 2000; ++seed) {
        Two world{seed};
        world.both_wires({.loss = 0.3});
        const uint64_t start_ns = world.now_ns();
        world.send_every(0, 1, 200 * kNsPerMs, start_ns + 110 * kNsPerSecond);
        while (world.peer(0, 1).session != SessionState::established &&
               world.now_ns() < start_ns + 110 * kNsPerSecond)
            world.run_for(10 * kNsPerMs);
        ASSERT_EQ(world.peer(0, 1).session, SessionState::established) << seed;
        took_ns.push_back(world.now_ns() - start_ns);
    }
    RecordProperty("p50_s", std::to_string(seconds(percentile(took_ns, 0.5))));
    RecordProperty("p99_s", std::to_string(seconds(percentile(took_ns, 0.99))));
    EXPECT_LE(seconds(percentile(took_ns, 0.5)), 5.4);
    EXPECT_LE(seconds(percentile(took_ns, 0.99)), 35.0);
}

TEST(Faults, F1_LossAddsNoLossOfItsOwn) {
    Two world{8};
    world.both_wires({.loss = 0.05});
    world.send(0, 1);
    ASSERT_TRUE(world.run_until_delivered(0, 1, 1, 100 * kNsPerSecond) ||
                world.flow(0, 1).sent == 1);
    world.run_for(30 * kNsPerSecond);
    const uint64_t end_ns = world.now_ns() + kHour;
    world.send_every(0, 1, 10 * kNsPerMs, end_ns);
    world.send_every(1, 0, 10 * kNsPerMs, end_ns);
    world.run_for(kHour + kNsPerSecond);
    for (const auto& [from, to] : {std::pair{0U, 1U}, std::pair{1U, 0U}}) {
        const World::Flow flow = world.flow(from, to);
        EXPECT_NEAR(static_cast<double>(flow.delivered) / static_cast<double>(flow.sent), 0.95,
                    0.002);
        EXPECT_EQ(flow.staged_dropped, 0U);
    }
    // A packet under a key its receiver lacks would be loss of ours.
    EXPECT_LE(world.nb_unknown_index(), world.flow(0, 1).sent / 10'000);
}

TEST(Faults, F3_DuplicatesAndReorderingChangeNothing) {
    Two world{9};
    world.both_wires({.duplicate = 0.5, .delay_ns = kNsPerMs, .jitter_ns = 60 * kNsPerMs});
    const uint64_t end_ns = world.now_ns() + kHour;
    world.send_every(0, 1, 20 * kNsPerMs, end_ns);
    world.send_every(1, 0, 20 * kNsPerMs, end_ns);
    world.run_for(kHour + kNsPerSecond);
    for (const auto& [from, to] : {std::pair{0U, 1U}, std::pair{1U, 0U}}) {
        EXPECT_EQ(world.flow(from, to).delivered, world.flow(from, to).sent);
        EXPECT_EQ(world.flow(from, to).delivered_twice, 0U);
    }
    // No handshake more than the clock asks for.
    EXPECT_LE(world.nb_logged(0, kInitiation) + world.nb_logged(1, kInitiation), 33U);
}

TEST(Faults, F5_LongDelaysCauseNoExtraHandshakes) {
    Two world{10};
    world.both_wires({.delay_ns = 500 * kNsPerMs, .jitter_ns = 500 * kNsPerMs});
    const uint64_t end_ns = world.now_ns() + 110 * kNsPerSecond;
    world.send_every(0, 1, 50 * kNsPerMs, end_ns);
    world.send_every(1, 0, 50 * kNsPerMs, end_ns);
    world.run_for(115 * kNsPerSecond);
    EXPECT_EQ(world.nb_logged(0, kInitiation) + world.nb_logged(1, kInitiation), 2U);
    EXPECT_EQ(world.flow(1, 0).delivered, world.flow(1, 0).sent);
}

TEST(Faults, F7_ARestartedBoxIsReachedAgain) {
    for (const unsigned restarted : {0U, 1U}) {
        Two world{11 + restarted};
        const uint64_t end_ns = world.now_ns() + 300 * kNsPerSecond;
        world.send_every(0, 1, 50 * kNsPerMs, end_ns);
        world.run_for(30 * kNsPerSecond);
        world.restart(restarted);
        const uint64_t before = world.flow(0, 1).delivered;
        const uint64_t start_ns = world.now_ns();
        // The initiator's packets are unknown to a restarted responder: it notices within 15 s and
        // a jitter. A restarted initiator handshakes with its first packet.
        ASSERT_TRUE(world.run_until_delivered(0, 1, before + 1, 20 * kNsPerSecond));
        EXPECT_LE(seconds(world.now_ns() - start_ns), restarted == 0 ? 0.1 : 15.5);
    }
}

TEST(Faults, F7_WithPersistentKeepaliveARestartIsShort) {
    World world{13};
    world.add_box();
    world.add_box();
    world.join(0, 1, 25);
    world.up();
    world.send_every(0, 1, 50 * kNsPerMs, world.now_ns() + 100 * kNsPerSecond);
    world.run_for(30 * kNsPerSecond);
    world.restart(1);
    const uint64_t before = world.flow(0, 1).delivered;
    EXPECT_TRUE(world.run_until_delivered(0, 1, before + 1, 100 * kNsPerMs));
}

TEST(Faults, F10_ClockJumpsDisturbNoSession) {
    constexpr int64_t kTenYears = int64_t{10} * 365 * 86'400 * 1'000'000'000;
    constexpr int64_t kOneHour = static_cast<int64_t>(kHour);
    for (const int64_t jump : {kOneHour, -kOneHour, kTenYears, -kTenYears}) {
        Two world{14};
        const uint64_t end_ns = world.now_ns() + kHour;
        world.send_every(0, 1, 50 * kNsPerMs, end_ns);
        world.send_every(1, 0, 50 * kNsPerMs, end_ns);
        world.run_for(kHour / 2);
        const size_t before = world.nb_logged(0, kInitiation) + world.nb_logged(1, kInitiation);
        world.shift_wall_clock(0, jump);
        world.run_for(kHour / 2 + kNsPerSecond);
        for (const auto& [from, to] : {std::pair{0U, 1U}, std::pair{1U, 0U}})
            EXPECT_EQ(world.flow(from, to).delivered, world.flow(from, to).sent) << jump;
        const size_t after = world.nb_logged(0, kInitiation) + world.nb_logged(1, kInitiation);
        EXPECT_LE(after - before, before + 1) << jump;
        EXPECT_EQ(
            world.device(1).counters()[static_cast<size_t>(HandshakeEvent::timestamp_in_past)], 0U);
    }
}

TEST(Faults, F12_APartitionOfAMinuteKeepsTheSession) {
    for (const uint64_t cut_s : {2U, 14U, 60U}) {
        Two world{cut_s};
        world.send_every(0, 1, 50 * kNsPerMs, world.now_ns() + 400 * kNsPerSecond);
        world.send_every(1, 0, 50 * kNsPerMs, world.now_ns() + 400 * kNsPerSecond);
        world.run_for(10 * kNsPerSecond);
        const uint32_t current = world.peer(0, 1).current_local_index;
        world.cut(0, 1, true);
        world.run_for(cut_s * kNsPerSecond);
        world.heal(0, 1);
        const uint64_t before = world.flow(0, 1).delivered;
        EXPECT_EQ(world.peer(0, 1).current_local_index, current);
        EXPECT_TRUE(world.run_until_delivered(0, 1, before + 1, 60 * kNsPerMs)) << cut_s;
    }
}

TEST(Faults, F12_AfterALongPartitionTrafficReturnsWithin5Seconds) {
    for (uint64_t seed = 1; seed <= 50; ++seed) {
        Two world{seed};
        const uint64_t end_ns = world.now_ns() + 600 * kNsPerSecond;
        world.send_every(0, 1, 100 * kNsPerMs, end_ns);
        world.send_every(1, 0, 100 * kNsPerMs, end_ns);
        world.run_for(10 * kNsPerSecond + seed * kNsPerMs);
        world.cut(0, 1, seed % 2 == 0);
        world.run_for(300 * kNsPerSecond);
        EXPECT_LE(world.nb_keypairs(0), 3U);
        world.heal(0, 1);
        const uint64_t before = world.flow(0, 1).delivered;
        EXPECT_TRUE(world.run_until_delivered(0, 1, before + 1, 5'400 * kNsPerMs)) << seed;
    }
}

// F22: a hub comes up and a thousand peers want a session at once; a handshake takes it 250 us.
TEST(Faults, F22_AThousandPeersAreUpWithinTenSeconds) {
    World world{15};
    const unsigned hub = world.add_box();
    world.set_handshake_cost(hub, 250'000);
    for (unsigned n = 1; n <= 1000; ++n)
        world.join(world.add_box(), hub);
    world.up();
    for (unsigned n = 1; n <= 1000; ++n)
        world.send(n, hub);
    size_t nb_delivered = 0;
    const uint64_t start_ns = world.now_ns();
    while (nb_delivered < 1000 && world.now_ns() < start_ns + 30 * kNsPerSecond) {
        world.run_for(100 * kNsPerMs);
        nb_delivered = 0;
        for (unsigned n = 1; n <= 1000; ++n)
            nb_delivered += world.flow(n, hub).delivered;
    }
    EXPECT_EQ(nb_delivered, 1000U);
    EXPECT_LE(seconds(world.now_ns() - start_ns), 10.0);
    // The queue was longer than 512: cookies were asked for.
    EXPECT_GT(world.nb_logged(hub, MessageType::cookie_reply), 0U);
}

// F11: a thousand peers whose sessions all end within a second.
TEST(Faults, F11_AThousandPeersRekeyAtOnceAndLoseNothing) {
    World world{16};
    const unsigned hub = world.add_box();
    world.set_handshake_cost(hub, 250'000);
    for (unsigned n = 1; n <= 1000; ++n)
        world.join(world.add_box(), hub);
    world.up();
    for (unsigned n = 1; n <= 1000; ++n) {
        world.send(n, hub);
        world.run_for(kNsPerMs);
    }
    for (unsigned n = 1; n <= 1000; ++n)
        world.send_every(n, hub, kNsPerSecond + n * 100'000, world.now_ns() + 140 * kNsPerSecond);
    world.run_for(141 * kNsPerSecond);
    for (unsigned n = 1; n <= 1000; ++n) {
        EXPECT_EQ(world.flow(n, hub).delivered, world.flow(n, hub).sent) << n;
        EXPECT_GE(world.nb_logged(n, kInitiation), 2U);
    }
}

TEST(World, ManyPeersFireInBoundedTurns) {
    World world{17};
    const unsigned hub = world.add_box();
    for (unsigned n = 1; n <= 600; ++n) {
        world.add_box();
        world.join(hub, n, 25);
    }
    world.device(hub).up(world.now());
    std::vector<Action> actions;
    world.device(hub).drain(actions);
    actions.clear();
    // All retransmissions are due: a turn does 256, and asks for another.
    const uint64_t due_ns = world.now_ns() + 6 * kNsPerSecond;
    size_t nb_turns = 0;
    while (world.device(hub).next_deadline() <= due_ns) {
        world.device(hub).tick(at(due_ns));
        ++nb_turns;
        actions.clear();
        world.device(hub).drain(actions);
        EXPECT_LE(actions.size(), 2U * 256);
    }
    EXPECT_EQ(nb_turns, 3U);
}

}  // namespace
}  // namespace meshgate::wireguard
