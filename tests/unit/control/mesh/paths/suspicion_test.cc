// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/suspicion.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {
namespace {

using namespace std::chrono_literals;

const IpAddress kTarget = node(1);
const IpAddress kAnother = node(2);
const IpAddress kRelay = node(3);
const Time kStart{100s};

// Until when a hold-down that begins now lasts, to the second.
Time::duration lasts(Suspicion& suspicion, Time from) {
    Time now = from;
    while (suspicion.is_held_down(kTarget, kRelay)) {
        now += 1s;
        suspicion.tick(now);
    }
    return now - from;
}

TEST(MeshSuspicion, HoldsARelayDownForOneTargetOnly) {
    Suspicion suspicion;
    EXPECT_TRUE(suspicion.on_silence(kTarget, kRelay, kStart));
    EXPECT_FALSE(suspicion.on_silence(kTarget, kRelay, kStart)) << "it is held down already";
    EXPECT_EQ(suspicion.held_down(kTarget), std::set{kRelay});
    EXPECT_TRUE(suspicion.held_down(kAnother).empty());
    EXPECT_TRUE(suspicion.is_held_down(kTarget, kRelay));
    EXPECT_FALSE(suspicion.is_held_down(kAnother, kRelay));
}

TEST(MeshSuspicion, LastsTwiceAsLongEachTimeUpToSixteenMinutes) {
    Suspicion suspicion;
    Time now = kStart;
    for (const auto wanted : {30s, 60s, 120s, 240s, 480s, 960s, 960s}) {
        suspicion.on_silence(kTarget, kRelay, now);
        EXPECT_EQ(lasts(suspicion, now), wanted);
        now += wanted;
    }
}

TEST(MeshSuspicion, SaysWhenAHoldDownEnds) {
    Suspicion suspicion;
    suspicion.on_silence(kTarget, kRelay, kStart);
    EXPECT_FALSE(suspicion.tick(kStart + 29s));
    EXPECT_TRUE(suspicion.tick(kStart + 30s));
    EXPECT_FALSE(suspicion.tick(kStart + 31s));
}

TEST(MeshSuspicion, ForgetsAfterHalfAnHourWithoutFault) {
    Suspicion suspicion;
    suspicion.on_silence(kTarget, kRelay, kStart);
    EXPECT_EQ(lasts(suspicion, kStart), 30s);
    suspicion.tick(kStart + 30s + 30min);
    suspicion.on_silence(kTarget, kRelay, kStart + 1h);
    EXPECT_EQ(lasts(suspicion, kStart + 1h), 30s);
}

TEST(MeshSuspicion, ARefusalIsShortAndCountsForNothing) {
    Suspicion suspicion;
    EXPECT_TRUE(suspicion.on_refusal(kTarget, kRelay, kStart));
    EXPECT_EQ(lasts(suspicion, kStart), 2s);
    suspicion.on_silence(kTarget, kRelay, kStart + 10s);
    EXPECT_EQ(lasts(suspicion, kStart + 10s), 30s);
    // Nor does it shorten a hold-down.
    suspicion.on_silence(kTarget, kRelay, kStart + 1min);
    suspicion.on_refusal(kTarget, kRelay, kStart + 1min);
    EXPECT_EQ(lasts(suspicion, kStart + 1min), 60s);
}

TEST(MeshSuspicion, ARelayThatRestartedStartsAfresh) {
    Suspicion suspicion;
    suspicion.on_silence(kTarget, kRelay, kStart);
    suspicion.on_silence(kAnother, kRelay, kStart);
    suspicion.forget_relay(kRelay);
    EXPECT_TRUE(suspicion.held_down(kTarget).empty());
    EXPECT_TRUE(suspicion.held_down(kAnother).empty());
    suspicion.on_silence(kTarget, kRelay, kStart);
    EXPECT_EQ(lasts(suspicion, kStart), 30s);
}

}  // namespace
}  // namespace meshgate::mesh::test
