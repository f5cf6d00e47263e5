// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/path_mtu.h"

#include <gtest/gtest.h>

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

const PathMtus::Path kPath{*parse_address("198.51.100.7"), *parse_address("192.0.2.1")};
const PathMtus::Path kOther{*parse_address("198.51.100.8"), *parse_address("192.0.2.1")};

TEST(PathMtus, LimitsUntilItForgets) {
    PathMtus mtus;
    Time now = Time{} + 1h;
    EXPECT_EQ(mtus.limit(kPath, 1500), 1500);
    EXPECT_EQ(mtus.next_deadline(), kNever);
    mtus.learn(kPath, 1400, Proof::receiver_index, now);
    EXPECT_EQ(mtus.limit(kPath, 1500), 1400);
    EXPECT_EQ(mtus.limit(kPath, 1300), 1300) << "the port may be narrower";
    EXPECT_EQ(mtus.limit(kOther, 1500), 1500);
    EXPECT_EQ(mtus.next_deadline(), now + 10min);
    EXPECT_TRUE(mtus.expire(now + 10min - 1ms).empty());
    EXPECT_EQ(mtus.expire(now + 10min), std::vector{kPath});
    EXPECT_EQ(mtus.limit(kPath, 1500), 1500);
    EXPECT_EQ(mtus.next_deadline(), kNever);
}

TEST(PathMtus, StartsItsTimeAnewWithEachReport) {
    PathMtus mtus;
    const Time now = Time{} + 1h;
    mtus.learn(kPath, 1400, Proof::receiver_index, now);
    mtus.learn(kOther, 1400, Proof::receiver_index, now);
    mtus.learn(kPath, 1300, Proof::receiver_index, now + 5min);
    EXPECT_EQ(mtus.expire(now + 10min), std::vector{kOther});
    EXPECT_EQ(mtus.limit(kPath, 1500), 1300);
    EXPECT_EQ(mtus.expire(now + 15min), std::vector{kPath});
}

TEST(PathMtus, ForgetsSoonWhatAnybodyCouldHaveSaid) {
    PathMtus mtus;
    const Time now = Time{} + 1h;
    mtus.learn(kPath, 1400, Proof::ports, now);
    EXPECT_EQ(mtus.next_deadline(), now + 1min);
}

TEST(PathMtus, AdmitsReportsAtARate) {
    PathMtus mtus;
    const Time now = Time{} + 1h;
    int nb_admitted = 0;
    for (int i = 0; i < 1000; ++i)
        nb_admitted += mtus.admit(now) ? 1 : 0;
    EXPECT_EQ(nb_admitted, 100);
    EXPECT_TRUE(mtus.admit(now + 1s));
}

}  // namespace
}  // namespace meshgate::control
