// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/path_mtu_search.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;
using Result = PathMtuSearch::Result;

constexpr uint16_t kCeiling = 1420;

// A path that lets packets of up to `fits` bytes through.
struct Path {
    uint16_t link_mtu_bytes = 1440;
    uint16_t fits = 1440;
    PathMtuSearch search;
    Time now{100s};
    uint32_t last_id = 0;
    size_t nb_probes = 0;
    size_t nb_bytes = 0;
    uint16_t largest = 0;

    std::optional<Result> turn() {
        const auto step = search.poll(link_mtu_bytes, kCeiling, last_id, now);
        now += 100ms;
        for (const PathMtuSearch::Probe& one : step.probes) {
            ++nb_probes;
            nb_bytes += one.mtu_bytes;
            largest = std::max(largest, one.mtu_bytes);
            if (one.mtu_bytes <= fits) {
                EXPECT_TRUE(search.on_reply(one.id));
            }
        }
        return step.result;
    }
    std::optional<Result> until_found(Time::duration most = 20s) {
        for (const Time end = now + most; now < end;) {
            if (const auto result = turn())
                return result;
        }
        return std::nullopt;
    }
};

TEST(PathMtuSearch, TwoProbesAreEnoughWhileNothingSpeaksAgainstTheLargestSize) {
    Path path;
    const auto result = path.until_found();
    ASSERT_TRUE(result);
    EXPECT_EQ(result->fits, kCeiling);
    EXPECT_EQ(result->in_force, kCeiling);
    EXPECT_FALSE(result->changed);
    EXPECT_EQ(path.nb_probes, 2U);
}

TEST(PathMtuSearch, FindsTheLargestSizeThatGetsThrough) {
    for (const int step : {1400, 1380, 1360, 1340, 1320, 1280, 1240, 1200}) {
        const auto size = static_cast<uint16_t>(step);
        Path path;
        path.fits = static_cast<uint16_t>(size + 5);
        const Time began = path.now;
        const auto result = path.until_found();
        ASSERT_TRUE(result) << size;
        EXPECT_EQ(result->fits, size);
        EXPECT_EQ(result->in_force, size);
        EXPECT_TRUE(result->changed);
        EXPECT_LE(path.now - began, 2s);
    }
}

// It is a limit for users, and our own link's MTU may change by itself.
TEST(PathMtuSearch, OurOwnLinkIsNoLimitOfThePath) {
    Path path;
    path.link_mtu_bytes = 1300;
    const auto result = path.until_found();
    EXPECT_EQ(result->fits, 1300);
    EXPECT_EQ(result->in_force, kCeiling);
    EXPECT_EQ(path.largest, 1300);
}

TEST(PathMtuSearch, SearchesAgainAfterTenSecondsAndNoticesAPathThatNarrowedOrWidened) {
    Path path;
    path.until_found();
    const Time concluded = path.now;
    path.fits = 1350;
    const auto narrowed = path.until_found();
    EXPECT_GE(path.now - concluded, 10s);
    EXPECT_EQ(narrowed->fits, 1340);
    EXPECT_TRUE(narrowed->changed);
    path.fits = 1440;
    const auto widened = path.until_found();
    EXPECT_EQ(widened->fits, kCeiling);
    EXPECT_TRUE(widened->changed);
}

// A path that is down, or a peer that does not answer probes.
TEST(PathMtuSearch, SilenceSaysNothingOfSizes) {
    Path path;
    path.fits = 1300;
    EXPECT_EQ(path.until_found()->in_force, 1280);
    path.fits = 0;
    EXPECT_FALSE(path.until_found(60s));
    EXPECT_EQ(path.search.in_force(), 1280);
    path.search.restart();
    path.fits = 1440;
    EXPECT_EQ(path.until_found(2s)->fits, kCeiling);
}

TEST(PathMtuSearch, WhoNeverAnswersIsAskedEverLessOften) {
    Path path;
    path.fits = 0;
    path.until_found(60min);
    const size_t nb_probes = path.nb_probes;
    EXPECT_LT(nb_probes, 60U);
    path.until_found(60min);
    EXPECT_GT(path.nb_probes, nb_probes) << "but not never";
}

TEST(PathMtuSearch, ProbesAreALittlePartOfALinkEvenWhereItIsNarrow) {
    Path path;
    path.fits = 1205;
    for (const Time end = path.now + 10min; path.now < end;)
        path.turn();
    EXPECT_LT(path.nb_bytes * 8 / 600, 16'000U) << "bit/s";
}

TEST(PathMtuSearch, AnIdOfAnotherSearchIsNoReply) {
    Path path;
    path.fits = 1250;
    path.turn();
    EXPECT_FALSE(path.search.on_reply(path.last_id + 1));
    EXPECT_FALSE(path.search.on_reply(0));
    EXPECT_EQ(path.until_found()->fits, 1240);
}

}  // namespace
}  // namespace meshgate::control
