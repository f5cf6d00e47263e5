// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/path_mtu_probe.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "control/mesh/paths/path_probe.h"
#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {
namespace {

using namespace std::chrono_literals;
using Result = PathMtuProbe::Result;

const PathKey kRelayed{node(1), {.link = 4, .node = node(2)}};
const PathKey kDirect{node(1), {.link = 5, .node = node(1)}};

// A path that lets packets of up to `fits` bytes through.
struct Path {
    PathKey key = kRelayed;
    uint16_t link_mtu_bytes = 1440;
    uint16_t fits = 1440;
    bool answers = true;
    PathMtuProbe probe;
    Time now{100s};
    size_t nb_probes = 0;
    uint16_t largest = 0;

    // One probing interval.
    std::optional<Result> turn() {
        const auto step = probe.poll(key, link_mtu_bytes, answers, now);
        now += 500ms;
        nb_probes += step.probes.size();
        for (const PathMtuProbe::Probe& one : step.probes) {
            EXPECT_NE(one.id & kPathMtuProbeBit, 0U);
            largest = std::max(largest, one.mtu_bytes);
            if (one.mtu_bytes <= fits)
                probe.on_reply(key.target, one.id);
        }
        return step.result;
    }
    std::optional<Result> search() {
        for (unsigned n = 0; n < 40; ++n) {
            if (const auto result = turn())
                return result;
        }
        return std::nullopt;
    }
};

TEST(PathMtuProbe, OneProbeIsEnoughWhileNothingSpeaksAgainstTheLargestSize) {
    Path path;
    const auto result = path.search();
    ASSERT_TRUE(result);
    EXPECT_EQ(result->fits, 1420);
    EXPECT_EQ(result->in_force, PathMtuProbe::kRelayedCeiling);
    EXPECT_FALSE(result->changed);
    EXPECT_EQ(path.nb_probes, 1U);
}

TEST(PathMtuProbe, FindsTheLargestSizeThatGetsThrough) {
    for (const int step : {1400, 1380, 1360, 1340, 1320, 1280, 1240, 1200}) {
        const auto size = static_cast<uint16_t>(step);
        Path path;
        path.fits = static_cast<uint16_t>(size + 5);
        const auto result = path.search();
        ASSERT_TRUE(result) << size;
        EXPECT_EQ(result->fits, size);
        EXPECT_EQ(result->in_force, size);
        EXPECT_TRUE(result->changed);
    }
}

TEST(PathMtuProbe, WhereNothingIsAnsweredTheLeastSizeRemains) {
    Path path;
    path.fits = 100;
    EXPECT_EQ(path.search()->fits, 1200);
}

// It is a limit for users, and our own link's MTU may change by itself.
TEST(PathMtuProbe, OurOwnLinkIsNoLimitOfThePath) {
    Path path;
    path.link_mtu_bytes = 1300;
    const auto result = path.search();
    EXPECT_EQ(result->fits, 1300);
    EXPECT_EQ(result->in_force, PathMtuProbe::kRelayedCeiling);
    EXPECT_EQ(path.largest, 1300);
}

TEST(PathMtuProbe, SearchesAgainAfterTenSecondsAndNoticesAPathThatNarrowedOrWidened) {
    Path path;
    path.search();
    const Time concluded = path.now;
    path.fits = 1350;
    const auto narrowed = path.search();
    EXPECT_GE(path.now - concluded, 10s);
    EXPECT_EQ(narrowed->fits, 1340);
    EXPECT_TRUE(narrowed->changed);
    path.fits = 1440;
    const auto widened = path.search();
    EXPECT_EQ(widened->fits, 1420);
    EXPECT_TRUE(widened->changed);
}

// A silence of the whole path says nothing of sizes.
TEST(PathMtuProbe, ConcludesNothingWhileThePathDoesNotAnswer) {
    Path path;
    path.turn();
    path.answers = false;
    path.fits = 0;
    EXPECT_FALSE(path.search());
    path.answers = true;
    path.fits = 1440;
    EXPECT_EQ(path.search()->fits, 1420);
}

TEST(PathMtuProbe, OnlyTheTargetAnswers) {
    Path path;
    const auto step = path.probe.poll(kRelayed, 1440, true, path.now);
    path.probe.on_reply(node(9), step.probes.front().id);
    path.fits = 1250;
    path.now += 500ms;
    EXPECT_EQ(path.search()->fits, 1240);
}

TEST(PathMtuProbe, EachPathHasItsOwnSearch) {
    Path relayed;
    relayed.fits = 1300;
    EXPECT_EQ(relayed.search()->fits, 1280);
    relayed.key = kDirect;
    relayed.fits = 1440;
    EXPECT_EQ(relayed.search()->fits, 1440);
    relayed.probe.forget(kRelayed);
    relayed.key = kRelayed;
    relayed.fits = 1440;
    EXPECT_FALSE(relayed.search()->changed) << "forgotten: the largest size is in force again";
}

// Direct: whatever our own link takes is tried, jumbo frames included.
TEST(PathMtuProbe, ADirectPathIsLimitedByItsLinkAlone) {
    Path path;
    path.key = kDirect;
    path.link_mtu_bytes = 8940;
    path.fits = 8940;
    const auto whole = path.search();
    EXPECT_EQ(whole->fits, 8940);
    EXPECT_EQ(whole->in_force, PathMtuProbe::kNoCeiling);
    path.fits = 1405;
    const auto narrow = path.search();
    EXPECT_EQ(narrow->fits, 1400);
    EXPECT_EQ(narrow->in_force, 1400);
}

}  // namespace
}  // namespace meshgate::mesh::test
