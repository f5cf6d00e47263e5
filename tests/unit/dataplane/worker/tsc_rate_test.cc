// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/tsc_rate.h"

#include <gtest/gtest.h>

namespace meshgate {
namespace {

constexpr uint64_t kStartTsc = 1'000'000;
constexpr TscRate kRate{{.tsc_hz = 1000, .per_second = 10, .burst = 5}};

unsigned taken(uint64_t& state, uint64_t now_tsc) {
    unsigned nb = 0;
    while (nb < 100 && kRate.take(state, now_tsc))
        ++nb;
    return nb;
}

TEST(TscRate, StartsFullAndGivesABurst) {
    uint64_t state = 0;
    EXPECT_EQ(taken(state, kStartTsc), 5U);
    EXPECT_EQ(taken(state, kStartTsc + 99), 0U);
}

TEST(TscRate, RefillsAtItsRateUpToTheBurst) {
    uint64_t state = 0;
    taken(state, kStartTsc);
    EXPECT_EQ(taken(state, kStartTsc + 100), 1U);
    EXPECT_EQ(taken(state, kStartTsc + 350), 2U);
    EXPECT_EQ(taken(state, kStartTsc + 1'000'000), 5U);
}

TEST(TscRate, KeepsBucketsApart) {
    uint64_t one = 0, other = 0;
    taken(one, kStartTsc);
    EXPECT_EQ(taken(other, kStartTsc), 5U);
}

}  // namespace
}  // namespace meshgate
