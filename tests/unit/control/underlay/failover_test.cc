// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/failover.h"

#include <gtest/gtest.h>

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;
using Route = Failover::Route;

constexpr PeerId kPeer = 3;
const NextHop kHome{0, *parse_address("192.0.2.254")};
const NextHop kOther{1, *parse_address("203.0.113.254")};

class FailoverTest : public testing::Test {
protected:
    // Two initiations by `present`, 5 s apart, that nothing answers.
    Route fall_silent(const NextHop& present) {
        EXPECT_EQ(failover.on_initiation(kPeer, present, now), Route::present);
        now += 5s;
        return failover.on_initiation(kPeer, present, now);
    }
    // Moved off its home, and heard by the other port.
    void move() {
        EXPECT_EQ(fall_silent(kHome), Route::rechosen);
        failover.on_handshake(kPeer, Initiator::us, now);
        EXPECT_FALSE(failover.on_heard_at(kPeer, kOther.port, now));
    }
    bool due_after(Time::duration wait) {
        EXPECT_TRUE(failover.take_due(now + wait - 1ms).empty());
        now += wait;
        return failover.take_due(now) == std::vector{kPeer};
    }

    Time now = Time{} + 1h;
    Failover failover;
};

TEST_F(FailoverTest, LeavesAGatewayByWhichThePeerIsSilent) {
    EXPECT_TRUE(failover.avoided(kPeer).empty());
    move();
    ASSERT_NE(failover.home_of(kPeer), nullptr);
    EXPECT_EQ(*failover.home_of(kPeer), kHome);
    EXPECT_EQ(failover.nb_moved(), (std::map<PortId, size_t>{{0, 1}}));
}

TEST_F(FailoverTest, StaysWhereHandshakesAreAnswered) {
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(failover.on_initiation(kPeer, kHome, now), Route::present);
        failover.on_handshake(kPeer, Initiator::us, now);
        now += 120s;
    }
    EXPECT_TRUE(failover.avoided(kPeer).empty());
}

TEST_F(FailoverTest, ComesBackOnceAHandshakeByHomeSucceeded) {
    move();
    ASSERT_TRUE(due_after(10s));
    failover.try_home(kPeer);
    EXPECT_EQ(failover.on_initiation(kPeer, kOther, now), Route::home);
    EXPECT_TRUE(failover.on_heard_at(kPeer, kHome.port, now));
    EXPECT_TRUE(failover.avoided(kPeer).empty());
    EXPECT_TRUE(failover.nb_moved().empty());
    EXPECT_EQ(failover.next_deadline(), kNever);
}

TEST_F(FailoverTest, TakesTheAnswerToATrialForHome) {
    move();
    ASSERT_TRUE(due_after(10s));
    failover.try_home(kPeer);
    EXPECT_EQ(failover.on_initiation(kPeer, kOther, now), Route::home);
    EXPECT_FALSE(failover.on_handshake(kPeer, Initiator::them, now)) << "it may come by any port";
    EXPECT_TRUE(failover.on_handshake(kPeer, Initiator::us, now));
    EXPECT_TRUE(failover.avoided(kPeer).empty());
}

TEST_F(FailoverTest, TriesAHomeThatStaysSilentEverLessOften) {
    move();
    Time::duration backoff = 10s;
    for (int i = 0; i < 8; ++i) {
        ASSERT_TRUE(due_after(backoff)) << i;
        failover.try_home(kPeer);
        EXPECT_EQ(failover.on_initiation(kPeer, kOther, now), Route::home);
        EXPECT_EQ(failover.on_initiation(kPeer, kOther, now), Route::present)
            << "the repetition goes where the peer was heard";
        failover.on_handshake(kPeer, Initiator::us, now);
        backoff = std::min<Time::duration>(2 * backoff, 5min);
    }
    EXPECT_EQ(*failover.home_of(kPeer), kHome);
}

TEST_F(FailoverTest, WaitsLongerForAHomeThatWasLeftAgain) {
    move();
    ASSERT_TRUE(due_after(10s));
    failover.try_home(kPeer);
    EXPECT_TRUE(failover.on_heard_at(kPeer, kHome.port, now));
    failover.leave(kPeer, kHome, now + 1min);
    failover.on_handshake(kPeer, Initiator::us, now);
    now += 1min;
    EXPECT_TRUE(due_after(20s));
    failover.try_home(kPeer);
    EXPECT_TRUE(failover.on_heard_at(kPeer, kHome.port, now));
    failover.leave(kPeer, kHome, now + 10min);
    failover.on_handshake(kPeer, Initiator::us, now);
    now += 10min;
    EXPECT_TRUE(due_after(10s)) << "it had settled";
}

TEST_F(FailoverTest, AsksAgainLaterWhileHomeIsNotUsable) {
    move();
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(due_after(10s));
        failover.wait(kPeer, now);
    }
    EXPECT_EQ(*failover.home_of(kPeer), kHome);
}

TEST_F(FailoverTest, GoesRoundForAPeerThatIsSilentEverywhere) {
    EXPECT_EQ(fall_silent(kHome), Route::rechosen);
    now += 5s;
    EXPECT_EQ(failover.on_initiation(kPeer, kOther, now), Route::rechosen);
    EXPECT_EQ(failover.avoided(kPeer).size(), 2U);
    failover.give_in(kPeer);
    EXPECT_TRUE(failover.avoided(kPeer).empty());
    EXPECT_TRUE(failover.nb_moved().empty());
    EXPECT_EQ(failover.next_deadline(), kNever);
}

TEST_F(FailoverTest, ForgetsAPeer) {
    move();
    failover.forget(kPeer);
    EXPECT_TRUE(failover.avoided(kPeer).empty());
    EXPECT_EQ(failover.next_deadline(), kNever);
}

}  // namespace
}  // namespace meshgate::control
