// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/path_probe.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {
namespace {

using namespace std::chrono_literals;

const IpAddress kTarget = node(1);
const Time kStart{100s};

TEST(MeshPathProbe, IsSentTwiceASecond) {
    PathProbe probe;
    EXPECT_EQ(probe.poll(kTarget, kStart)->id, 1U);
    EXPECT_FALSE(probe.poll(kTarget, kStart + 499ms));
    EXPECT_EQ(probe.poll(kTarget, kStart + 500ms)->id, 2U);
}

TEST(MeshPathProbe, MeasuresTheRoundTripOfTheLastOne) {
    PathProbe probe;
    probe.poll(kTarget, kStart);
    EXPECT_FALSE(probe.rtt_ms(kTarget));
    probe.on_reply(kTarget, 1, kStart + 30ms);
    EXPECT_DOUBLE_EQ(probe.rtt_ms(kTarget).value(), 30.0);
    probe.poll(kTarget, kStart + 500ms);
    probe.on_reply(kTarget, 1, kStart + 510ms);  // late: says nothing of the second one's time
    EXPECT_DOUBLE_EQ(probe.rtt_ms(kTarget).value(), 30.0);
    probe.on_path_changed(kTarget);
    EXPECT_FALSE(probe.rtt_ms(kTarget));
}

TEST(MeshPathProbe, TheFourthUnansweredOneIsSilence) {
    PathProbe probe;
    Time now = kStart;
    std::vector<bool> silent, unanswered;
    for (unsigned n = 0; n < 6; ++n, now += 500ms) {
        const auto step = probe.poll(kTarget, now);
        silent.push_back(step->path_is_silent);
        unanswered.push_back(step->unanswered);
    }
    EXPECT_EQ(silent, (std::vector{false, false, false, false, true, false}));
    EXPECT_EQ(unanswered, (std::vector{false, false, true, true, true, false}));
}

TEST(MeshPathProbe, AnswersToTheLastFewProbesCountAndNoOthers) {
    PathProbe probe;
    Time now = kStart;
    for (unsigned n = 0; n < 40; ++n, now += 500ms) {
        EXPECT_FALSE(probe.poll(kTarget, now)->path_is_silent) << n;
        probe.on_reply(kTarget, n > 7 ? n - 6 : 1, now);  // seven probes late
    }
    for (unsigned n = 0; n < 3; ++n, now += 500ms)
        probe.poll(kTarget, now);
    probe.on_reply(kTarget, 44, now);      // not sent yet
    probe.on_reply(kTarget, 43 - 8, now);  // too old
    probe.on_reply(node(9), 43, now);      // by somebody else
    EXPECT_TRUE(probe.poll(kTarget, now)->path_is_silent);
}

TEST(MeshPathProbe, StartsAnewAfterAPause) {
    PathProbe probe;
    Time now = kStart;
    for (unsigned n = 0; n < 4; ++n, now += 500ms)
        probe.poll(kTarget, now);
    probe.stop(kTarget);
    const auto step = probe.poll(kTarget, now);
    ASSERT_TRUE(step) << "at once, not at the end of the interval";
    EXPECT_FALSE(step->path_is_silent);
    EXPECT_FALSE(step->unanswered);
    EXPECT_EQ(step->id & kPathMtuProbeBit, 0U);
}

}  // namespace
}  // namespace meshgate::mesh::test
