// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/initiation_schedule.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {
namespace {

using namespace std::chrono_literals;
using Peer = InitiationSchedule::Peer;

const Time kStart{100s};

TEST(MeshInitiations, ARelayIsTriedOnceASecondUntilItAnswers) {
    InitiationSchedule schedule;
    unsigned nb_started = 0;
    for (Time now = kStart; now < kStart + 10s; now += 100ms) {
        schedule.begin_round();
        nb_started += schedule.poll(node(1), Peer::relay, now) ? 1 : 0;
    }
    EXPECT_EQ(nb_started, 10U);
}

TEST(MeshInitiations, ALeafIsTriedOnce) {
    InitiationSchedule schedule;
    EXPECT_TRUE(schedule.poll(node(1), Peer::leaf, kStart));
    EXPECT_FALSE(schedule.poll(node(1), Peer::leaf, kStart + 1h));
    schedule.forget(node(1));
    EXPECT_TRUE(schedule.poll(node(1), Peer::leaf, kStart + 2h));
}

TEST(MeshInitiations, FiftyInARoundAreEnoughAndAllGetTheirTurn) {
    InitiationSchedule schedule;
    std::vector<unsigned> nb_started;
    Time now = kStart;
    for (unsigned round = 0; round < 4; ++round, now += 100ms) {
        schedule.begin_round();
        nb_started.push_back(0);
        for (unsigned box = 1; box <= 120; ++box)
            nb_started.back() += schedule.poll(node(box), Peer::relay, now) ? 1 : 0;
    }
    EXPECT_EQ(nb_started, (std::vector{50U, 50U, 20U, 0U}));
}

}  // namespace
}  // namespace meshgate::mesh::test
