// SPDX-License-Identifier: Apache-2.0
#include "control/sessions/endpoint_conflicts.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;
using Verdict = EndpointConflicts::Verdict;

class EndpointConflictsTest : public testing::Test {
protected:
    Verdict move(const Endpoint& from, const Endpoint& to, std::chrono::milliseconds after = 1s) {
        now_ += after;
        return conflicts_.on_move(3, from, to, now_);
    }
    bool lasts() { return !conflicts_.at(now_).empty(); }

    EndpointConflicts conflicts_{60s};
    Time now_{1h};
    const Endpoint a_ = *parse_endpoint("192.0.2.1:1"), b_ = *parse_endpoint("192.0.2.2:1"),
                   c_ = *parse_endpoint("192.0.2.3:1");
};

TEST_F(EndpointConflictsTest, SeesTwoMachinesThatTakeTurns) {
    EXPECT_EQ(move(a_, b_), Verdict::moved);
    EXPECT_EQ(move(b_, a_), Verdict::moved);
    EXPECT_EQ(move(a_, b_), Verdict::moved);
    EXPECT_FALSE(lasts());
    EXPECT_EQ(move(b_, a_), Verdict::begins);
    EXPECT_EQ(move(a_, b_), Verdict::conflict);
    const auto all = conflicts_.at(now_);
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].peer, 3U);
    EXPECT_EQ(all[0].one, a_);
    EXPECT_EQ(all[0].other, b_);
    move(b_, a_);
    EXPECT_EQ(conflicts_.at(now_)[0].one, a_) << "in one order, whichever was heard last";
}

TEST_F(EndpointConflictsTest, LastsUntilItWasQuietForAMinute) {
    for (int i = 0; i < 6; ++i)
        i % 2 == 0 ? move(a_, b_) : move(b_, a_);
    ASSERT_TRUE(lasts());
    now_ += 50s;
    EXPECT_TRUE(lasts());
    EXPECT_EQ(move(a_, b_, 5s), Verdict::conflict);
    now_ += 59s;
    EXPECT_TRUE(lasts()) << "since a minute nothing came but this";
    now_ += 2s;
    EXPECT_FALSE(lasts());
    EXPECT_EQ(move(b_, a_), Verdict::moved) << "from the beginning";
}

TEST_F(EndpointConflictsTest, LetsPeersRoam) {
    const auto at = [](unsigned i) {
        return Endpoint{IpAddress::v4(htonl(0x0a000000 + i)), 51820};
    };
    for (unsigned i = 0; i < 1000; ++i)
        ASSERT_EQ(move(at(i), at(i + 1), 100ms), Verdict::moved) << "a train";
    for (int i = 0; i < 20; ++i)
        ASSERT_EQ(i % 2 == 0 ? move(a_, b_, 40s) : move(b_, a_, 40s), Verdict::moved)
            << "between two networks, now and then";
    EXPECT_FALSE(lasts());
}

TEST_F(EndpointConflictsTest, ForgetsAPeer) {
    for (int i = 0; i < 6; ++i)
        i % 2 == 0 ? move(a_, b_) : move(b_, a_);
    conflicts_.forget(3);
    EXPECT_FALSE(lasts());
    EXPECT_EQ(move(a_, b_), Verdict::moved);
}

}  // namespace
}  // namespace meshgate::control
