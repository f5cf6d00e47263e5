// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/timers.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/control/wireguard/fixture.h"

namespace meshgate::wireguard {
namespace {

constexpr PeerId kPeer = Bench::kPeer;
constexpr uint64_t kStart = kHour;  // when the session of a Tested begins

// One device with a session, to which the test tells what its packets did.
struct Tested {
    explicit Tested(Initiator initiator = Initiator::us, uint16_t persistent_keepalive_s = 0)
        : side{initiator == Initiator::us ? bench.a : bench.b},
          other{initiator == Initiator::us ? bench.b : bench.a} {
        PeerOptions options = bench.options_for(other);
        options.persistent_keepalive_s = persistent_keepalive_s;
        if (initiator == Initiator::us)
            bench.handshake(side, other, at(kStart));
        else
            bench.handshake(other, side, at(kStart));
        side.device.update_peer(kPeer, std::move(options), at(kStart));
        side.drain();
        side.messages.clear();
        side.actions.clear();
    }

    // `seconds` count from the beginning of the session.
    static uint64_t time(double seconds) {
        return kStart + static_cast<uint64_t>(seconds * static_cast<double>(kNsPerSecond));
    }
    void data_sent(double seconds) {
        activity.last_data_tx_ns = activity.last_any_tx_ns = time(seconds);
        ++activity.send_counter;
        tell(seconds);
    }
    void data_received(double seconds) {
        activity.last_data_rx_ns = activity.last_any_rx_ns = time(seconds);
        tell(seconds);
    }
    void keepalive_received(double seconds) {
        activity.last_any_rx_ns = time(seconds);
        tell(seconds);
    }
    void keepalive_sent(double seconds) {
        activity.last_any_tx_ns = time(seconds);
        ++activity.send_counter;
        tell(seconds);
    }
    // Told a little later than it happened, as samples are.
    void tell(double seconds) {
        run_until(seconds);
        side.device.on_activity(kPeer, activity, at(time(seconds) + report_delay_ns));
        collect(time(seconds));
    }
    void run_until(double seconds) {
        const uint64_t end_ns = time(seconds);
        while (side.device.next_deadline() <= end_ns) {
            const uint64_t due_ns = side.device.next_deadline();
            side.device.tick(at(due_ns));
            collect(due_ns);
        }
    }
    void collect(uint64_t now_ns) {
        side.drain();
        for (const SendMessage& message : side.messages)
            if (message.message.bytes[0] == 1)
                initiations.push_back(seconds_of(now_ns));
        for (size_t n = side.nb<SendKeepalive>(); n > 0; --n)
            keepalives.push_back(seconds_of(now_ns));
        last_messages = side.messages;
        side.messages.clear();
        std::erase_if(side.actions, [](const Action& action) {
            return std::holds_alternative<SendKeepalive>(action);
        });
    }
    static double seconds_of(uint64_t now_ns) {
        return static_cast<double>(now_ns - kStart) / static_cast<double>(kNsPerSecond);
    }

    Bench bench;
    Bench::Side& side;
    Bench::Side& other;
    Activity activity;
    uint64_t report_delay_ns = 50 * kNsPerMs;
    std::vector<double> initiations, keepalives;  // when
    std::vector<SendMessage> last_messages;
};

using Times = std::vector<double>;

// ---- rekeying by age and use ----

TEST(Timers, W28_TheInitiatorRekeysWhenItSendsAfter120Seconds) {
    Tested young;
    young.data_sent(119.999);
    EXPECT_TRUE(young.initiations.empty());
    young.data_sent(120);
    EXPECT_EQ(young.initiations, Times{120});
    Tested keepalive;
    keepalive.keepalive_sent(121);
    EXPECT_EQ(keepalive.initiations, Times{121});
}

// Told late, a packet of the last second of the 120 still causes nothing.
TEST(Timers, W28_CountsByTheTimeOfThePacketNotOfTheReport) {
    Tested tested;
    tested.report_delay_ns = 5 * kNsPerSecond;
    tested.data_sent(118);
    EXPECT_TRUE(tested.initiations.empty());
}

TEST(Timers, W28_AnIdleInitiatorDoesNotRekey) {
    Tested tested;
    tested.run_until(kHour / kNsPerSecond);
    EXPECT_TRUE(tested.initiations.empty());
}

TEST(Timers, W28_TheResponderNeverRekeysByAge) {
    Tested tested{Initiator::them};
    for (double seconds = 1; seconds < 180; seconds += 1) {
        tested.data_sent(seconds);
        tested.data_received(seconds + 0.5);
    }
    EXPECT_TRUE(tested.initiations.empty());
}

TEST(Timers, W28_TheInitiatorRekeysOnceWhenItReceivesAfter165Seconds) {
    Tested tested;
    tested.keepalive_received(164.999);
    EXPECT_TRUE(tested.initiations.empty());
    tested.data_received(165);
    ASSERT_EQ(tested.initiations, Times{165});
    // Given up on, it is not tried again by receiving: once per session.
    Tested once;
    once.keepalive_received(166);
    ASSERT_EQ(once.initiations.size(), 1U);
    once.keepalive_received(170);
    EXPECT_EQ(once.initiations.size(), 1U);
    EXPECT_EQ(once.side.peer().initiations_of_attempt, 1U);

    Tested responder{Initiator::them};
    responder.data_received(166);
    EXPECT_TRUE(responder.initiations.empty());
}

TEST(Timers, W28_OncePerSessionHoldsAfterTheAttemptWasGivenUp) {
    DeviceOptions options;
    options.timings.max_initiations = 1;
    options.timings.rekey_timeout_ns = kNsPerSecond;
    options.fill_random = seeded_random(1);
    options.timings.rekey_timeout_jitter_ns = 0;
    Bench bench{std::move(options), DeviceOptions{}};
    bench.handshake(bench.a, bench.b, at(kStart));
    Activity activity;
    size_t nb_initiations = 0;
    for (uint64_t second = 169; second < 180; ++second) {
        activity.last_any_rx_ns = kStart + second * kNsPerSecond;
        bench.a.device.tick(at(activity.last_any_rx_ns));
        bench.a.device.on_activity(kPeer, activity, at(activity.last_any_rx_ns));
        while (bench.a.take_message())
            ++nb_initiations;
    }
    EXPECT_EQ(nb_initiations, 1U);
    EXPECT_EQ(bench.a.count(HandshakeEvent::given_up), 1U);
}

TEST(Timers, W29_EitherSideRekeysAfter2To60Messages) {
    for (const Initiator initiator : {Initiator::us, Initiator::them}) {
        Tested tested{initiator};
        tested.activity.send_counter = (uint64_t{1} << 60) - 2;
        tested.data_sent(1);
        EXPECT_TRUE(tested.initiations.empty());
        tested.data_sent(6);
        EXPECT_EQ(tested.initiations, Times{6});
    }
}

TEST(Timers, W30_NoKeypairOutlives180Seconds) {
    for (const Initiator initiator : {Initiator::us, Initiator::them}) {
        Tested tested{initiator};
        tested.data_received(10);
        tested.run_until(179.999);
        EXPECT_EQ(tested.side.nb<RemoveKeypair>(), 0U);
        EXPECT_EQ(tested.side.peer().session, SessionState::established);
        tested.run_until(180);
        EXPECT_EQ(tested.side.nb<RemoveKeypair>(), 1U);
        EXPECT_EQ(tested.side.peer().session, SessionState::none);
        tested.side.device.on_no_session(kPeer, at(Tested::time(181)));
        tested.collect(Tested::time(181));
        EXPECT_EQ(tested.initiations, Times{181});
    }
}

TEST(Timers, W30_AUsedUpKeypairSendsNoMore) {
    Tested tested{Initiator::them};
    tested.activity.send_counter = kRejectAfterMessages - 1;
    tested.data_sent(20);
    EXPECT_EQ(tested.side.nb<StopSending>(), 1U);
    EXPECT_NE(tested.side.peer().session, SessionState::established);
    EXPECT_EQ(tested.initiations, Times{20});
}

// ---- retransmission ----

TEST(Timers, W31_RetransmitsAfter5SecondsAndJitterTwentyTimesInAll) {
    Tested tested;
    tested.side.device.clear_sessions(at(Tested::time(1)));
    tested.side.device.on_no_session(kPeer, at(Tested::time(1)));
    tested.collect(Tested::time(1));
    tested.run_until(300);
    ASSERT_EQ(tested.initiations.size(), 20U);
    double least = 9, most = 0;
    for (size_t n = 1; n < 20; ++n) {
        const double gap = tested.initiations[n] - tested.initiations[n - 1];
        EXPECT_GE(gap, 5.0);
        EXPECT_LE(gap, 5.3331);
        least = std::min(least, gap);
        most = std::max(most, gap);
    }
    EXPECT_LT(least, 5.1);  // jitter spreads
    EXPECT_GT(most, 5.2);
    EXPECT_EQ(tested.side.nb<PurgeStaged>(), 1U);
    EXPECT_EQ(tested.side.count(HandshakeEvent::given_up), 1U);
    EXPECT_FALSE(tested.side.peer().handshake_in_progress);
}

TEST(Timers, W31_GivesUpBetween100And107Seconds) {
    for (uint64_t seed = 1; seed < 50; ++seed) {
        Bench bench{Timings{}, {seed, seed + 100}};
        bench.a.device.on_no_session(kPeer, at(kStart));
        uint64_t given_up_ns = 0;
        while (bench.a.count(HandshakeEvent::given_up) == 0) {
            given_up_ns = bench.a.device.next_deadline();
            bench.a.device.tick(at(given_up_ns));
        }
        EXPECT_GE(given_up_ns, kStart + 100 * kNsPerSecond);
        EXPECT_LE(given_up_ns, kStart + 107 * kNsPerSecond);
    }
}

TEST(Timers, W31_NewOutboundDataRestartsTheSequence) {
    Tested tested;
    tested.side.device.clear_sessions(at(Tested::time(1)));
    tested.side.device.on_no_session(kPeer, at(Tested::time(1)));
    tested.run_until(50);
    tested.side.device.on_no_session(kPeer, at(Tested::time(50)));
    EXPECT_EQ(tested.side.peer().initiations_of_attempt, 1U);
    tested.run_until(400);
    const size_t nb_first = tested.initiations.size();
    EXPECT_GE(nb_first, 28U);  // those of 50 s, then twenty from there
    EXPECT_LE(nb_first, 30U);
    // After giving up, too.
    tested.side.device.on_no_session(kPeer, at(Tested::time(400)));
    tested.collect(Tested::time(400));
    EXPECT_EQ(tested.initiations.size(), nb_first + 1);
    tested.run_until(600);
    EXPECT_EQ(tested.initiations.size(), nb_first + 20);
}

TEST(Timers, W31_AnAnswerEndsTheSequence) {
    Tested tested;
    tested.data_sent(120);
    ASSERT_EQ(tested.initiations.size(), 1U);
    tested.bench.give(tested.other, tested.last_messages.at(0), at(Tested::time(120.1)));
    tested.bench.give(tested.side, *tested.other.take_message(), at(Tested::time(120.2)));
    tested.run_until(130);
    EXPECT_EQ(tested.initiations.size(), 1U);
    EXPECT_FALSE(tested.side.peer().handshake_in_progress);
}

// ---- keepalives ----

TEST(Timers, W32_OneKeepalive10SecondsAfterDataThatWasNotAnswered) {
    Tested tested;
    tested.data_received(10);
    tested.run_until(100);
    EXPECT_EQ(tested.keepalives, Times{20});
}

TEST(Timers, W32_NothingWhenAnythingWasSent) {
    Tested data;
    data.data_received(10);
    data.data_sent(19.9);
    data.keepalive_received(20);
    data.run_until(100);
    EXPECT_TRUE(data.keepalives.empty());
    Tested keepalive;
    keepalive.data_received(10);
    keepalive.keepalive_sent(15);
    keepalive.run_until(100);
    EXPECT_TRUE(keepalive.keepalives.empty());
}

TEST(Timers, W32_AKeepaliveNeverTriggersAKeepalive) {
    Tested tested;
    for (double seconds = 1; seconds < 100; seconds += 7)
        tested.keepalive_received(seconds);
    tested.run_until(170);
    EXPECT_TRUE(tested.keepalives.empty());
}

TEST(Timers, W32_RepeatsOnlyIfMoreDataCameMeanwhile) {
    Tested tested;
    tested.data_received(10);
    tested.data_received(15);
    tested.run_until(20);
    tested.keepalive_sent(20.001);  // ours, as the packet path reports it
    tested.run_until(30);
    tested.keepalive_sent(30.001);
    tested.run_until(150);
    EXPECT_EQ(tested.keepalives, (Times{20, 30}));
    // Data of ours says as much as the second keepalive would.
    Tested answered;
    answered.data_received(10);
    answered.data_received(15);
    answered.run_until(20);
    answered.keepalive_sent(20.001);
    answered.data_sent(25);
    answered.keepalive_received(26);
    answered.run_until(150);
    EXPECT_EQ(answered.keepalives, Times{20});
}

TEST(Timers, W32_LateReportsMoveNoDeadline) {
    Tested tested;
    tested.report_delay_ns = 3 * kNsPerSecond;
    tested.data_received(10);
    tested.run_until(100);
    EXPECT_EQ(tested.keepalives, Times{20});
    // What was sent before the data came does not answer it, in whatever order it is told.
    Tested reordered;
    reordered.activity.last_data_rx_ns = reordered.activity.last_any_rx_ns = Tested::time(11);
    reordered.activity.last_any_tx_ns = Tested::time(10);
    reordered.tell(12);
    reordered.run_until(100);
    EXPECT_EQ(reordered.keepalives, Times{21});
    // What was sent after it does, though one report tells both. At one time, too: a turn of the
    // packet path receives first.
    for (const double sent : {11.0, 12.0}) {
        Tested answered;
        answered.activity.last_data_rx_ns = answered.activity.last_any_rx_ns = Tested::time(11);
        answered.activity.last_any_tx_ns = Tested::time(sent);
        answered.tell(12);
        answered.run_until(100);
        EXPECT_TRUE(answered.keepalives.empty()) << sent;
    }
}

TEST(Timers, W32_TrafficUpToTheLastInstantCounts) {
    DeviceOptions options;
    Activity real;
    options.fill_random = seeded_random(1);
    options.sample_activity = [&real](PeerId) { return real; };
    DeviceOptions other;
    other.fill_random = seeded_random(2);
    Bench bench{std::move(options), std::move(other)};
    bench.handshake(bench.a, bench.b, at(kStart));
    real.last_data_rx_ns = real.last_any_rx_ns = Tested::time(10);
    bench.a.device.on_activity(kPeer, real, at(Tested::time(10)));
    ASSERT_EQ(bench.a.device.next_deadline(), Tested::time(20));
    real.last_any_tx_ns = Tested::time(19.999);  // not reported
    bench.a.device.tick(at(Tested::time(20)));
    bench.a.drain();
    EXPECT_EQ(bench.a.nb<SendKeepalive>(), 0U);
}

// ---- dead peers ----

TEST(Timers, W33_ANewHandshake15SecondsAfterTheFirstUnansweredData) {
    Tested tested;
    tested.data_sent(10);
    tested.data_sent(12);
    tested.data_sent(24);
    tested.run_until(24.999);
    EXPECT_TRUE(tested.initiations.empty());
    tested.run_until(60);
    ASSERT_FALSE(tested.initiations.empty());
    EXPECT_GE(tested.initiations[0], 25.0);
    EXPECT_LE(tested.initiations[0], 25.3331);
}

TEST(Timers, W33_AnyAuthenticatedPacketCancels) {
    Tested keepalive;
    keepalive.data_sent(10);
    keepalive.keepalive_received(24.9);
    keepalive.run_until(100);
    EXPECT_TRUE(keepalive.initiations.empty());
    Tested data;
    data.data_sent(10);
    data.data_received(11);
    data.data_sent(12);  // counts anew
    data.run_until(26.999);
    EXPECT_TRUE(data.initiations.empty());
    data.run_until(27.34);
    EXPECT_EQ(data.initiations.size(), 1U);
}

TEST(Timers, W33_KeepalivesNeedNoAnswer) {
    Tested tested;
    tested.keepalive_sent(10);
    tested.run_until(100);
    EXPECT_TRUE(tested.initiations.empty());
}

TEST(Timers, W33_AnIdleLinkIsSilent) {
    for (const Initiator initiator : {Initiator::us, Initiator::them}) {
        Tested tested{initiator};
        tested.run_until(24 * 3600.0);
        EXPECT_TRUE(tested.initiations.empty());
        EXPECT_TRUE(tested.keepalives.empty());
        EXPECT_EQ(tested.side.device.next_deadline(), kNeverNs);
    }
}

// ---- persistent keepalives ----

TEST(Timers, W34_CountsFromTheLastPacketEitherWay) {
    Tested tested{Initiator::us, 25};
    ASSERT_EQ(tested.side.nb<SendKeepalive>(), 0U);
    tested.data_sent(10);
    tested.data_received(20);
    tested.run_until(44.999);
    // The passive keepalive of the data at 20 s comes first, and counts as a packet.
    EXPECT_EQ(tested.keepalives, Times{30});
    tested.keepalive_sent(45);
    tested.run_until(69.999);
    EXPECT_EQ(tested.keepalives.size(), 1U);
    tested.run_until(70);
    EXPECT_EQ(tested.keepalives, (Times{30, 70}));
}

TEST(Timers, W34_ReceivingCounts) {
    Tested tested{Initiator::us, 25};
    tested.keepalive_received(20);
    tested.run_until(44.999);
    EXPECT_TRUE(tested.keepalives.empty());
    tested.run_until(45);
    EXPECT_EQ(tested.keepalives, Times{45});
}

TEST(Timers, W34_GoesOnWithoutReports) {
    Tested tested{Initiator::them, 60};
    tested.run_until(179);
    EXPECT_EQ(tested.keepalives, (Times{60, 120}));
}

TEST(Timers, W34_MakesASessionWhenThereIsNone) {
    Tested tested{Initiator::them, 50};
    tested.run_until(200);  // the session ends at 180 s
    EXPECT_EQ(tested.keepalives, (Times{50, 100, 150}));
    EXPECT_EQ(tested.initiations, Times{200});
}

TEST(Timers, W34_IsSentWhenTheDeviceComesUpAndWhenSwitchedOn) {
    Bench bench;
    PeerOptions options = bench.options_for(bench.b);
    options.persistent_keepalive_s = 25;
    bench.a.device.update_peer(kPeer, std::move(options), at(1));
    EXPECT_TRUE(bench.a.take_message());
    bench.a.device.down(at(2));
    bench.a.drain();
    bench.a.messages.clear();
    bench.a.device.tick(at(kHour));
    EXPECT_FALSE(bench.a.take_message());
    bench.a.device.up(at(kHour));
    EXPECT_TRUE(bench.a.take_message());
}

TEST(Timers, W34_IsNeverGivenUp) {
    Bench bench;
    PeerOptions options = bench.options_for(bench.b);
    options.persistent_keepalive_s = 25;
    bench.a.device.update_peer(kPeer, std::move(options), at(1));
    size_t nb_last_hour = 0;
    while (bench.a.device.next_deadline() < 10 * kHour) {
        const uint64_t due_ns = bench.a.device.next_deadline();
        bench.a.device.tick(at(due_ns));
        while (bench.a.take_message())
            nb_last_hour += due_ns > 9 * kHour ? 1 : 0;
    }
    EXPECT_GT(nb_last_hour, 100U);
}

}  // namespace
}  // namespace meshgate::wireguard
