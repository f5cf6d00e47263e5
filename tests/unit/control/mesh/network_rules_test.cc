// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/network_rules.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/box_fixture.h"

namespace meshgate::mesh::test {
namespace {

class NetworkRulesTest : public testing::Test {
protected:
    // london publishes its clients at berlin.
    void apply(std::initializer_list<Who> everybody) {
        config::Network network = network_of(everybody);
        for (config::Member& member : network.members) {
            if (member.name == "london")
                member.published = {"paris", "berlin"};
            if (member.name == "munich")
                member.published = {"london"};
        }
        network.clients.resize(2);
        network.clients[0].public_key = key_of("anna");
        network.clients[1].public_key = key_of("bert");
        network.clients[1].boxes = {"munich", "london"};
        members.set_network(std::move(network));
    }

    MemberTable members{kAuthority, key_of("berlin")};
};

TEST_F(NetworkRulesTest, NameEverybodyAndWhoRelays) {
    apply({{"berlin", Role::relay}, {"london"}, {"munich", Role::relay}});
    EXPECT_EQ(nodes_of(members),
              (std::vector{node_of("berlin"), node_of("london"), node_of("munich")}));
    const auto relays = relay_members(members);
    ASSERT_EQ(relays.size(), 3U);
    EXPECT_EQ(relays[1].node, node_of("london"));
    EXPECT_TRUE(relays[0].relay);
    EXPECT_FALSE(relays[1].relay);
    EXPECT_TRUE(relays[2].relay);
}

TEST_F(NetworkRulesTest, LetNobodyRelayAtABoxThatIsNoMember) {
    apply({{"london", Role::relay}, {"munich"}});
    EXPECT_TRUE(relay_members(members).empty());
    EXPECT_TRUE(published_here(members).empty());
    EXPECT_EQ(nodes_of(members).size(), 2U);
}

TEST_F(NetworkRulesTest, PublishAtRelaysThatAreNamed) {
    apply({{"berlin", Role::relay}, {"london"}, {"munich"}});
    const auto published = published_here(members);
    ASSERT_EQ(published.size(), 1U);
    EXPECT_EQ(published[0].node, node_of("london"));
    EXPECT_EQ(published[0].key, key_of("london"));
    apply({{"berlin", Role::leaf}, {"london"}, {"munich"}});
    EXPECT_TRUE(published_here(members).empty()) << "we are no relay";
}

TEST_F(NetworkRulesTest, SayWhereClientsMayConnect) {
    apply({{"berlin"}, {"london"}, {"munich"}});
    const auto rules = client_rules(members);
    ASSERT_EQ(rules.size(), 2U);
    EXPECT_EQ(rules[0].key, key_of("anna"));
    EXPECT_TRUE(rules[0].boxes.empty()) << "anywhere";
    EXPECT_EQ(rules[1].boxes, (std::vector{node_of("munich"), node_of("london")}));
}

}  // namespace
}  // namespace meshgate::mesh::test
