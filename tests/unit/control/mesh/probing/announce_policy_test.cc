// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/announce_policy.h"

#include <gtest/gtest.h>

#include "control/mesh/probing/port_terms.h"
#include "tests/unit/control/mesh/box_fixture.h"

namespace meshgate::mesh::test {
namespace {

class AnnouncePolicyTest : public BoxTest {
protected:
    AnnouncePolicyTest() { join(Role::leaf); }
    void join(Role ours) {
        set_network({{"berlin", ours}, {"london", Role::relay}, {"munich"}, {"paris"}});
    }
    bool may(const char* who, const Prefix& prefix) {
        return policy.may_announce({.interface = link_of(who), .address = {}}, prefix);
    }
    LinkId link_of(const char* who) {
        return add_link(member(who), who == std::string{"london"} ? "192.0.2.1:1" : "192.0.2.2:1");
    }

    AnnouncePolicy policy{members, links};
};

TEST_F(AnnouncePolicyTest, LetsAMemberSpeakForItself) {
    EXPECT_TRUE(may("munich", {node_of("munich"), 128}));
    EXPECT_TRUE(may("london", {node_of("london"), 128}));
    EXPECT_FALSE(may("munich", {node_of("munich"), 127}));
}

TEST_F(AnnouncePolicyTest, LetsOnlyRelaysSpeakForOthers) {
    for (const Prefix& prefix :
         {Prefix{node_of("paris"), 128}, Prefix{members.node(), 128}, members.node_prefix()}) {
        EXPECT_TRUE(may("london", prefix)) << to_string(prefix);
        EXPECT_FALSE(may("munich", prefix)) << to_string(prefix);
    }
}

TEST_F(AnnouncePolicyTest, LetsNobodySpeakForStrangers) {
    EXPECT_FALSE(may("london", {node_of("rome"), 128}));
    EXPECT_FALSE(may("london", *parse_prefix("10.0.0.0/8")));
    EXPECT_FALSE(may("london", {node_of("paris"), 64})) << "more than one node";
    EXPECT_FALSE(policy.may_announce({.interface = 99, .address = {}}, {node_of("munich"), 128}))
        << "a link of nobody";
}

TEST_F(AnnouncePolicyTest, TellsOthersWhatTheyNeed) {
    EXPECT_EQ(policy.announce_to(member("london")), babel::Announce::own_only);
    join(Role::relay);
    EXPECT_EQ(policy.announce_to(member("london")), babel::Announce::everything);
    EXPECT_EQ(policy.announce_to(member("munich")), babel::Announce::aggregates);
}

TEST_F(AnnouncePolicyTest, DescribesALinkByThePortOfTheBoxFile) {
    const Endpoint remote = *parse_endpoint("192.0.2.1:1");
    EXPECT_EQ(port_terms.describe({kWan1, remote}), "wan1 -> 192.0.2.1:1");
    EXPECT_EQ(port_terms.describe({9, remote}), "? -> 192.0.2.1:1");
    ASSERT_NE(port_terms.of(kWan1), nullptr);
    EXPECT_TRUE(port_terms.of(kWan1)->metered);
    EXPECT_EQ(port_terms.of(9), nullptr);
}

}  // namespace
}  // namespace meshgate::mesh::test
