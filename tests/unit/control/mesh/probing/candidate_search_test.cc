// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/candidate_search.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/box_fixture.h"

namespace meshgate::mesh::test {
namespace {

class CandidateSearchTest : public BoxTest {
protected:
    CandidateSearchTest() {
        set_network({{"berlin"}, {"london", Role::relay}, {"munich"}});
        munich = &member("munich");
        london = &member("london");
        start_session(*munich, 1, 2);
        start_session(*london, 3, 4);
        to_london = add_link(*london, "192.0.2.1:1");
        links.find(to_london)->heard = now;
        munich->path = PathChoice{.via = {to_london, london->node}};
        munich->traffic.on_wanted(now);
    }
    // What was said to the member.
    template <typename M>
    std::vector<M> said_to(const Member& to) {
        std::vector<M> result;
        for (const Message& message : messages_to(to)) {
            if (const auto* said = std::get_if<M>(&message))
                result.push_back(*said);
        }
        return result;
    }

    Member* munich = nullptr;
    Member* london = nullptr;
    LinkId to_london = kNoLink;
    const std::vector<Endpoint> local{*parse_endpoint("203.0.113.2:51820"),
                                      *parse_endpoint("198.51.100.2:51820")};
    CandidateSearch search{
        {.underlay = underlay, .links = links, .prober = prober, .channel = channel}};
};

TEST_F(CandidateSearchTest, TellsANeighborWhereItIsSeen) {
    search.review(*london, now);
    ASSERT_EQ(fake.sent.size(), 1U);
    EXPECT_EQ(fake.sent[0].info.link, to_london) << "it is about this link";
    EXPECT_EQ(said_to<Seen>(*london), std::vector{Seen{*parse_endpoint("192.0.2.1:1")}});
    search.review(*london, now);
    EXPECT_TRUE(said_to<Seen>(*london).empty()) << "not so often";
    now += 20s;
    search.review(*london, now);
    EXPECT_TRUE(said_to<Seen>(*london).empty()) << "not heard lately";
    links.find(to_london)->heard = now;
    search.review(*london, now);
    EXPECT_EQ(said_to<Seen>(*london).size(), 1U);
}

TEST_F(CandidateSearchTest, TellsAMemberBehindARelayWhereWeMayBeReached) {
    search.review(*munich, now);
    const auto said = said_to<Candidates>(*munich);
    ASSERT_EQ(said.size(), 1U);
    EXPECT_EQ(said[0].endpoints, local);
    EXPECT_TRUE(said[0].answer);
    EXPECT_GT(search.next_try(*munich), now);
}

TEST_F(CandidateSearchTest, TellsItWhereOthersSeeUs) {
    const Endpoint seen = *parse_endpoint("192.0.2.99:7777");
    search.receive(*london, {kWan0, *parse_endpoint("192.0.2.1:1")}, Seen{seen});
    search.receive(*london, {kWan1, *parse_endpoint("192.0.2.1:1")},
                   Seen{*parse_endpoint("192.0.2.98:1")});  // no link of london's
    search.review(*munich, now);
    auto expected = local;
    expected.insert(expected.begin(), seen);
    ASSERT_EQ(said_to<Candidates>(*munich).back().endpoints, expected);
    // What was seen holds while the link works, and for a minute.
    now += 60s;
    munich->traffic.on_wanted(now);
    search.review(*munich, now);
    EXPECT_EQ(said_to<Candidates>(*munich).back().endpoints, local);
}

TEST_F(CandidateSearchTest, SearchesNeitherForIdleMembersNorForDirectOnes) {
    search.review(*london, now);
    EXPECT_TRUE(said_to<Candidates>(*london).empty());
    munich->path->via.node = munich->node;
    search.review(*munich, now);
    EXPECT_TRUE(said_to<Candidates>(*munich).empty());
    munich->path->via.node = london->node;
    now += 60s;
    search.review(*munich, now);
    EXPECT_TRUE(said_to<Candidates>(*munich).empty());
    EXPECT_FALSE(search.next_try(*munich));
}

TEST_F(CandidateSearchTest, ProbesWhereAMemberMayBeReachedAndAnswers) {
    search.receive(*munich, Candidates{{*parse_endpoint("192.0.2.7:7")}, true}, now);
    EXPECT_EQ(links.of(*munich).size(), 2U);
    const auto said = said_to<Candidates>(*munich);
    ASSERT_EQ(said.size(), 1U);
    EXPECT_FALSE(said[0].answer) << "or the two would talk for ever";
    search.receive(*munich, Candidates{{*parse_endpoint("192.0.2.8:7")}, false}, now);
    EXPECT_TRUE(said_to<Candidates>(*munich).empty());
}

TEST_F(CandidateSearchTest, DoesNotProbeTheWorldForAMember) {
    for (int i = 0; i < 9; ++i)
        search.receive(
            *munich,
            Candidates{{{*parse_address("192.0.2.7"), static_cast<uint16_t>(1 + i)}}, false}, now);
    EXPECT_EQ(links.of(*munich).size(), 10U) << "five messages at once, two ports";
}

TEST_F(CandidateSearchTest, ForgetsMembersAndLinks) {
    search.review(*munich, now);
    search.receive(*london, {kWan0, *parse_endpoint("192.0.2.1:1")},
                   Seen{*parse_endpoint("192.0.2.99:7777")});
    search.forget(*munich);
    search.forget_link(to_london);
    EXPECT_FALSE(search.next_try(*munich));
    search.review(*munich, now);
    EXPECT_EQ(said_to<Candidates>(*munich).back().endpoints, local);
}

}  // namespace
}  // namespace meshgate::mesh::test
