// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/member_links.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/box_fixture.h"

namespace meshgate::mesh::test {
namespace {

class MemberLinksTest : public BoxTest {
protected:
    MemberLinksTest() {
        set_network({{"berlin"},
                     {"london", Role::relay, "192.0.2.1:51820"},
                     {"munich", Role::leaf, "192.0.2.2:51820"}});
    }
    MemberLink* add(const char* name, const char* endpoint, LinkOrigin origin) {
        return links.add(member(name), {kWan0, *parse_endpoint(endpoint)}, origin, now);
    }
};

TEST_F(MemberLinksTest, LeadFromEachPortToEachEndpointOfTheFile) {
    links.make_all(now);
    const auto& to_london = links.of(member("london"));
    ASSERT_EQ(to_london.size(), 2U);
    for (const PortId port : {kWan0, kWan1}) {
        const auto link = to_london.find({port, *parse_endpoint("192.0.2.1:51820")});
        ASSERT_NE(link, to_london.end());
        EXPECT_EQ(link->second.origin, LinkOrigin::network_file);
        EXPECT_EQ(links.member_of(link->second.id), &member("london"));
        EXPECT_EQ(links.find(link->second.id), &link->second);
    }
}

TEST_F(MemberLinksTest, AreMadeToMembersThatSomebodyWants) {
    links.make_all(now);
    EXPECT_TRUE(links.of(member("munich")).empty()) << "a leaf that nobody talks to";
    member("munich").traffic.on_wanted(now);
    links.make_all(now);
    EXPECT_EQ(links.of(member("munich")).size(), 2U);
}

TEST_F(MemberLinksTest, AreMadeByMembersOnly) {
    members.set_network(network_of({{"munich"}, {"london", Role::relay, "192.0.2.1:51820"}}));
    links.make(member("london"), now);
    EXPECT_TRUE(links.of(member("london")).empty());
}

TEST_F(MemberLinksTest, AreFoundAgain) {
    MemberLink* link = add("london", "192.0.2.9:1", LinkOrigin::heard);
    ASSERT_NE(link, nullptr);
    link->heard = now;
    EXPECT_EQ(add("london", "192.0.2.9:1", LinkOrigin::candidate), link);
    EXPECT_EQ(link->origin, LinkOrigin::heard);
    EXPECT_EQ(underlay.id_of({kWan0, *parse_endpoint("192.0.2.9:1")}), link->id);
}

TEST_F(MemberLinksTest, NeedAPortWithAWayThere) {
    EXPECT_EQ(
        links.add(member("london"), {7, *parse_endpoint("192.0.2.9:1")}, LinkOrigin::heard, now),
        nullptr);
    EXPECT_EQ(add("london", "[2001:db8::1]:1", LinkOrigin::heard), nullptr);
}

TEST_F(MemberLinksTest, AreNoMoreThan32OfOneMember) {
    for (int i = 1; i <= 32; ++i)
        ASSERT_NE(add("london", ("192.0.2.9:" + std::to_string(i)).c_str(), LinkOrigin::candidate),
                  nullptr);
    EXPECT_EQ(add("london", "192.0.2.9:33", LinkOrigin::candidate), nullptr);
    EXPECT_NE(add("munich", "192.0.2.9:33", LinkOrigin::candidate), nullptr);
}

// ---- one endpoint is one box ----

TEST_F(MemberLinksTest, KeepAnEndpointThatWasHeardOrIsInTheFile) {
    const MemberLink* heard = add("london", "192.0.2.9:1", LinkOrigin::heard);
    const MemberLink* in_file = add("london", "192.0.2.9:2", LinkOrigin::network_file);
    EXPECT_EQ(add("munich", "192.0.2.9:1", LinkOrigin::heard), nullptr);
    EXPECT_EQ(add("munich", "192.0.2.9:2", LinkOrigin::network_file), nullptr);
    EXPECT_EQ(links.member_of(heard->id), &member("london"));
    EXPECT_EQ(links.member_of(in_file->id), &member("london"));
    EXPECT_TRUE(links.of(member("munich")).empty());
    EXPECT_TRUE(gone.empty());
}

// A member could say that it has another's endpoint, to keep that one from being reached.
TEST_F(MemberLinksTest, GiveAnEndpointThatIsOnlyClaimedToWhoIsThere) {
    const LinkId claimed = add("london", "192.0.2.9:1", LinkOrigin::candidate)->id;
    EXPECT_EQ(add("munich", "192.0.2.9:1", LinkOrigin::candidate), nullptr) << "word against word";
    const MemberLink* heard = add("munich", "192.0.2.9:1", LinkOrigin::heard);
    ASSERT_NE(heard, nullptr);
    EXPECT_EQ(gone, std::vector{claimed});
    EXPECT_EQ(links.member_of(heard->id), &member("munich"));
    EXPECT_TRUE(links.of(member("london")).empty());
}

TEST_F(MemberLinksTest, KeepAClaimThatProvedTrue) {
    add("london", "192.0.2.9:1", LinkOrigin::candidate)->heard = now;
    EXPECT_EQ(add("munich", "192.0.2.9:1", LinkOrigin::heard), nullptr);
}

// ---- their end ----

TEST_F(MemberLinksTest, TellTheirUserBeforeTheyAreGone) {
    struct User : LinkUser {
        void on_link_gone(LinkId link, Time) override {
            was_there = links->member_of(link) != nullptr && underlay->key_of(link).port == kWan0;
        }
        MemberLinks* links = nullptr;
        control::Links* underlay = nullptr;
        bool was_there = false;
    } user;
    MemberLinks own{underlay, members, endpoints, user};
    user.links = &own;
    user.underlay = &underlay;
    const LinkKey key{kWan0, *parse_endpoint("192.0.2.9:1")};
    const LinkId id = own.add(member("london"), key, LinkOrigin::heard, now)->id;
    own.remove_all(member("london"), now);
    EXPECT_TRUE(user.was_there);
    EXPECT_EQ(own.member_of(id), nullptr);
    EXPECT_EQ(own.find(id), nullptr);
    EXPECT_EQ(underlay.id_of(key), kNoLink);
}

TEST_F(MemberLinksTest, AreStaleAfter90SecondsOfSilenceUnlessInTheFile) {
    links.make_all(now);
    add("london", "192.0.2.9:1", LinkOrigin::heard)->heard = now;
    now += 90s;
    links.remove_stale(member("london"), now);
    EXPECT_EQ(links.of(member("london")).size(), 3U);
    now += 1ms;
    links.remove_stale(member("london"), now);
    EXPECT_EQ(links.of(member("london")).size(), 2U);
    EXPECT_EQ(gone.size(), 1U);
}

TEST_F(MemberLinksTest, AreNotStaleWhileTheyAreThePath) {
    const MemberLink* link = add("london", "192.0.2.9:1", LinkOrigin::heard);
    member("london").path = PathChoice{.via = {link->id, node_of("london")}};
    now += 10min;
    links.remove_stale(member("london"), now);
    EXPECT_TRUE(gone.empty());
    underlay.set_ports({}, now);
    links.remove_stale(member("london"), now);
    EXPECT_EQ(gone.size(), 1U) << "no port leads there any more";
}

TEST_F(MemberLinksTest, AreStaleWhenNobodyWantsTheMember) {
    member("munich").traffic.on_wanted(now);
    links.make(member("munich"), now);
    now += 61s;
    links.remove_stale(member("munich"), now);
    EXPECT_TRUE(links.of(member("munich")).empty());
}

TEST_F(MemberLinksTest, KnowWhereSomebodyWasHeard) {
    MemberLink* early = add("london", "192.0.2.9:1", LinkOrigin::heard);
    MemberLink* late = add("munich", "192.0.2.9:2", LinkOrigin::heard);
    add("munich", "192.0.2.9:3", LinkOrigin::candidate);
    early->heard = now - 60s;
    late->heard = now - 59s;
    EXPECT_EQ(links.heard_since(now - 60s), std::set{late->id});
    EXPECT_EQ(late->silence(now), 59s);
}

}  // namespace
}  // namespace meshgate::mesh::test
