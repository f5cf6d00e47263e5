// SPDX-License-Identifier: Apache-2.0
#include "control/sessions/tsc_moment.h"

#include <gtest/gtest.h>

namespace meshgate::control {
namespace {

TEST(TscMoment, TranslatesBothWaysAndKeepsNever) {
    const TscMoment moment{
        .tsc = 5'000'000'000, .tsc_hz = 2'000'000'000, .mono_ns = 100'000'000'000};
    EXPECT_EQ(moment.to_ns(0), 0U);
    EXPECT_EQ(moment.to_ns(3'000'000'000), 99'000'000'000U);
    EXPECT_EQ(moment.to_tsc(101'000'000'000), 7'000'000'000U);
    EXPECT_EQ(moment.to_tsc(99'000'000'000), 3'000'000'000U);
    EXPECT_EQ(moment.to_tsc(1), 0U) << "before the counter began";
}

}  // namespace
}  // namespace meshgate::control
