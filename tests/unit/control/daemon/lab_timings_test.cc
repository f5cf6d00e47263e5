// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/lab_timings.h"

#include <gtest/gtest.h>

namespace meshgate::control {
namespace {

TEST(LabTimings, ParsesWhatItNames) {
    const auto timings = parse_lab_timings(
        "rekey=20s,reject=40s,retry=500ms,jitter=0ms,"
        "keepalive=2s,zeroize=120s,initiations=4");
    ASSERT_TRUE(timings) << timings.error().message;
    EXPECT_EQ(timings->rekey_after_time_ns, 20 * kNsPerSecond);
    EXPECT_EQ(timings->rekey_timeout_ns, 500 * kNsPerMs);
    EXPECT_EQ(timings->max_initiations, 4U);
    EXPECT_EQ(parse_lab_timings("")->rekey_after_time_ns, wireguard::kRekeyAfterTime);
    for (const char* text : {"rekey", "rekey=", "rekey=2", "rekey=2m", "foo=2s", "initiations=0",
                             "rekey=99999999999999999999s", "=", ","})
        EXPECT_FALSE(parse_lab_timings(text)) << text;
}

}  // namespace
}  // namespace meshgate::control
