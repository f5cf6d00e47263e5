// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/path_mtu_probe.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "control/mesh/paths/path_probe.h"
#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {
namespace {

using namespace std::chrono_literals;
using Result = PathMtuSearch::Result;

const PathKey kRelayed{node(1), {.link = 4, .node = node(2)}};
const PathKey kDirect{node(1), {.link = 5, .node = node(1)}};

// Paths that let packets of up to `fits` bytes through, and what is found of them.
struct Paths {
    PathMtuProbe probe;
    Time now{100s};
    uint16_t largest = 0;

    std::optional<Result> search(const PathKey& key, uint16_t link_mtu_bytes, uint16_t fits) {
        for (unsigned n = 0; n < 40; ++n) {
            const auto step = probe.poll(key, link_mtu_bytes, now);
            now += 500ms;
            for (const PathMtuSearch::Probe& one : step.probes) {
                EXPECT_NE(one.id & kPathMtuProbeBit, 0U);
                largest = std::max(largest, one.mtu_bytes);
                if (one.mtu_bytes <= fits)
                    probe.on_reply(key.target, one.id);
            }
            if (step.result)
                return step.result;
        }
        return std::nullopt;
    }
};

TEST(PathMtuProbe, OverRelaysNoMoreIsTriedThanTheirLinksAreSureToTake) {
    Paths paths;
    const auto result = paths.search(kRelayed, 1440, 1440);
    EXPECT_EQ(result->fits, 1420);
    EXPECT_EQ(result->in_force, PathMtuProbe::kRelayedCeiling);
    EXPECT_EQ(paths.largest, 1420);
}

// Direct: whatever our own link takes is tried, jumbo frames included.
TEST(PathMtuProbe, ADirectPathIsLimitedByItsLinkAlone) {
    Paths paths;
    EXPECT_EQ(paths.search(kDirect, 8940, 8940)->in_force, PathMtuSearch::kNoCeiling);
    EXPECT_FALSE(paths.probe.is_measured(kDirect));
    const auto narrow = paths.search(kDirect, 8940, 1405);
    EXPECT_EQ(narrow->fits, 1400);
    EXPECT_EQ(narrow->in_force, 1400);
    EXPECT_TRUE(paths.probe.is_measured(kDirect));
}

TEST(PathMtuProbe, OnlyTheTargetAnswers) {
    Paths paths;
    const auto step = paths.probe.poll(kRelayed, 1440, paths.now);
    paths.probe.on_reply(node(9), step.probes.front().id);
    paths.now += 500ms;
    EXPECT_EQ(paths.search(kRelayed, 1440, 1250)->fits, 1240);
}

TEST(PathMtuProbe, EachPathHasItsOwnSearch) {
    Paths paths;
    EXPECT_EQ(paths.search(kRelayed, 1440, 1300)->fits, 1280);
    EXPECT_EQ(paths.search(kDirect, 1440, 1440)->fits, 1440);
}

// A path that comes back is not a hole again until the next search.
TEST(PathMtuProbe, APathThatIsInForceAgainKeepsItsSizeAndIsTriedAtOnce) {
    Paths paths;
    EXPECT_EQ(paths.probe.begin(kDirect), PathMtuSearch::kNoCeiling);
    EXPECT_EQ(paths.probe.begin(kRelayed), PathMtuProbe::kRelayedCeiling);
    paths.search(kDirect, 1440, 1345);
    EXPECT_EQ(paths.probe.begin(kDirect), 1340);
    EXPECT_FALSE(paths.probe.poll(kDirect, 1440, paths.now).probes.empty());
}

TEST(PathMtuProbe, ForgetsPathsThatAreGone) {
    Paths paths;
    paths.search(kDirect, 1440, 1345);
    paths.search(kRelayed, 1440, 1345);
    paths.probe.forget_link(kDirect.via.link);
    EXPECT_EQ(paths.probe.begin(kDirect), PathMtuSearch::kNoCeiling);
    EXPECT_EQ(paths.probe.begin(kRelayed), 1340);
    paths.probe.forget_target(kRelayed.target);
    EXPECT_EQ(paths.probe.begin(kRelayed), PathMtuProbe::kRelayedCeiling);
}

}  // namespace
}  // namespace meshgate::mesh::test
