// SPDX-License-Identifier: Apache-2.0
#include "base/token_bucket.h"

#include <gtest/gtest.h>

namespace meshgate {
namespace {

using namespace std::chrono_literals;

TEST(TokenBucket, AllowsBurstsThenTheRate) {
    TokenBucket bucket{10, 5};
    Time now = Time{} + 1h;
    int nb_taken = 0;
    for (int i = 0; i < 100; ++i)
        nb_taken += bucket.take(now) ? 1 : 0;
    EXPECT_EQ(nb_taken, 5);
    now += 100ms;
    EXPECT_TRUE(bucket.take(now));
    EXPECT_FALSE(bucket.take(now));
}

}  // namespace
}  // namespace meshgate
