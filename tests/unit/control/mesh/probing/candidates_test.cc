// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/candidates.h"

#include <gtest/gtest.h>

#include "control/mesh/protocol/messages.h"
#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {
namespace {

using namespace std::chrono_literals;

const IpAddress kMember = node(1);
const Time kStart{100s};

TEST(MeshCandidates, AreWhatOthersSeeThenOurOwnAddresses) {
    CandidateExchange candidates;
    candidates.on_seen(1, endpoint("198.51.100.7:1000"));
    candidates.on_seen(2, endpoint("198.51.100.7:2000"));
    candidates.on_seen(3, endpoint("198.51.100.7:3000"));
    const std::vector<Endpoint> local{endpoint("192.168.1.2:51820"), endpoint("127.0.0.1:51820"),
                                      endpoint("198.51.100.7:1000")};
    EXPECT_EQ(candidates.own({1, 3}, local),
              (std::vector{endpoint("198.51.100.7:1000"), endpoint("198.51.100.7:3000"),
                           endpoint("192.168.1.2:51820")}));
    candidates.forget_link(1);
    EXPECT_EQ(candidates.own({1, 3}, {}), std::vector{endpoint("198.51.100.7:3000")});
}

TEST(MeshCandidates, AreNeverMoreThanOneMessageHolds) {
    CandidateExchange candidates;
    std::set<LinkId> links;
    for (LinkId link = 0; link < 40; ++link) {
        candidates.on_seen(link, {*parse_address("198.51.100.7"), static_cast<uint16_t>(1 + link)});
        links.insert(link);
    }
    EXPECT_EQ(candidates.own(links, {}).size(), kMaxCandidates);
}

TEST(MeshCandidates, TheOtherEndIsToldEachTwentySecondsWhereWeSeeIt) {
    CandidateExchange candidates;
    EXPECT_TRUE(candidates.is_report_due(1, kStart));
    candidates.on_reported(1, kStart);
    EXPECT_FALSE(candidates.is_report_due(1, kStart + 19s));
    EXPECT_TRUE(candidates.is_report_due(1, kStart + 20s));
    EXPECT_TRUE(candidates.is_report_due(2, kStart));
}

// When they are sent within ten minutes, in seconds since the start.
std::vector<int64_t> sent(CandidateExchange& candidates, Time from) {
    std::vector<int64_t> result;
    for (Time now = from; now < from + 10min; now += 1s) {
        if (candidates.poll(kMember, now))
            result.push_back((now - from) / 1s);
    }
    return result;
}

TEST(MeshCandidates, AreSentOftenAtFirstThenOnceAMinute) {
    CandidateExchange candidates;
    EXPECT_FALSE(candidates.next_try(kMember));
    EXPECT_EQ(sent(candidates, kStart), (std::vector<int64_t>{0, 2, 4, 6, 8, 10, 70, 130, 190, 250,
                                                              310, 370, 430, 490, 550}));
    EXPECT_EQ(candidates.next_try(kMember), kStart + 610s);
    candidates.stop(kMember);  // reached directly; the relay is needed again later
    EXPECT_EQ(sent(candidates, kStart + 1h).at(2), 4);
}

TEST(MeshCandidates, AMemberMayNotMakeUsProbeAllTheTime) {
    CandidateExchange candidates;
    unsigned nb_accepted = 0;
    for (Time now = kStart; now < kStart + 100s; now += 100ms)
        nb_accepted += candidates.accepts(kMember, now) ? 1 : 0;
    EXPECT_LE(nb_accepted, 5U + 50U);
    EXPECT_GE(nb_accepted, 50U);
    EXPECT_TRUE(candidates.accepts(node(2), kStart + 100s)) << "each member has its own rate";
}

}  // namespace
}  // namespace meshgate::mesh::test
