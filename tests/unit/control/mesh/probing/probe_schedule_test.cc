// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/probe_schedule.h"

#include <gtest/gtest.h>

namespace meshgate::mesh::test {
namespace {

using namespace std::chrono_literals;
using Patience = ProbeSchedule::Patience;

constexpr LinkId kLink = 4;

class ProbeScheduleTest : public testing::Test {
protected:
    Time::duration interval(Time::duration silence = 0s, Patience patience = Patience::usual) {
        return schedule.interval_of(kLink, silence, patience, now);
    }

    Time now = Time{} + 1h;
    ProbeSchedule schedule;
};

TEST_F(ProbeScheduleTest, IsSlowOnAStandbyLink) {
    EXPECT_EQ(interval(), kIntervalIdle);
}

TEST_F(ProbeScheduleTest, IsFastWhereUsersPacketsLeave) {
    schedule.on_path(kLink);
    EXPECT_EQ(interval(1h), kIntervalInUse);
    EXPECT_EQ(schedule.interval_of(kLink + 1, 0s, Patience::usual, now), kIntervalIdle);
    schedule.begin_round();
    EXPECT_EQ(interval(), kIntervalIdle);
}

TEST_F(ProbeScheduleTest, IsFastForTenSecondsAfterSomethingWasRelayed) {
    schedule.on_relayed(kLink, 0, now);
    EXPECT_EQ(interval(), kIntervalIdle) << "nothing was relayed yet";
    schedule.on_relayed(kLink, 5, now);
    EXPECT_EQ(interval(), kIntervalInUse);
    for (const auto& [later, expected] :
         {std::pair{9999ms, kIntervalInUse}, std::pair{10000ms, kIntervalIdle}}) {
        schedule.begin_round();
        schedule.on_relayed(kLink, 5, now + later);
        EXPECT_EQ(interval(), expected) << later.count();
    }
}

// A different interval, or two ends would keep each other awake.
TEST_F(ProbeScheduleTest, FollowsTheOtherEndALittleSlower) {
    schedule.on_their_interval(kLink, kIntervalInUse);
    EXPECT_EQ(interval(), kIntervalForThem);
    schedule.begin_round();
    schedule.on_their_interval(kLink, kIntervalForThem);
    EXPECT_EQ(interval(), kIntervalIdle);
    schedule.on_their_interval(kLink, 0s);
    EXPECT_EQ(interval(), kIntervalIdle) << "nothing is known of it";
    schedule.on_their_interval(kLink, kIntervalInUse);
    schedule.on_path(kLink);
    EXPECT_EQ(interval(), kIntervalInUse);
}

TEST_F(ProbeScheduleTest, IsSeldomWhereNobodyAnswers) {
    EXPECT_EQ(interval(15s), kIntervalIdle);
    EXPECT_EQ(interval(15001ms), kIntervalSilent);
    EXPECT_EQ(interval(10min, Patience::eager), kIntervalIdle);
    EXPECT_EQ(interval(10min + 1ms, Patience::eager), kIntervalSilent);
}

TEST_F(ProbeScheduleTest, IsFastAtFirst) {
    schedule.on_probed(kLink, now);
    now += 2999ms;
    EXPECT_EQ(interval(), kIntervalInUse);
    now += 1ms;
    EXPECT_EQ(interval(), kIntervalIdle);
}

TEST_F(ProbeScheduleTest, IsFastAfterASilence) {
    schedule.on_heard_again(kLink, now);
    EXPECT_EQ(interval(), kIntervalInUse);
    now += 3s;
    EXPECT_EQ(interval(), kIntervalIdle);
}

// What was lost before has to be outweighed.
TEST_F(ProbeScheduleTest, IsFastForLongerAfterAnOutage) {
    schedule.on_up(kLink, now);
    schedule.on_heard_again(kLink, now);
    now += 9999ms;
    EXPECT_EQ(interval(), kIntervalInUse);
    now += 1ms;
    EXPECT_EQ(interval(), kIntervalIdle);
}

TEST_F(ProbeScheduleTest, ForgetsALink) {
    schedule.on_path(kLink);
    schedule.on_their_interval(kLink, kIntervalInUse);
    schedule.on_up(kLink, now);
    schedule.on_relayed(kLink, 5, now);
    schedule.forget(kLink);
    EXPECT_EQ(interval(), kIntervalIdle);
    schedule.on_relayed(kLink, 0, now);
    EXPECT_EQ(interval(), kIntervalIdle) << "another link with this number has relayed nothing";
}

}  // namespace
}  // namespace meshgate::mesh::test
