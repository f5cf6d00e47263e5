// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/clients/network_clients.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/box_fixture.h"

namespace meshgate::mesh::test {
namespace {

config::Client client(const char* name, std::vector<std::string> boxes = {}) {
    config::Client result;
    result.name = name;
    result.public_key = key_of(name);
    result.boxes = std::move(boxes);
    return result;
}

class NetworkClientsTest : public testing::Test {
protected:
    NetworkClients::Changes apply(std::vector<config::Client> everybody) {
        config::Network network = network_of({{"berlin"}, {"munich"}});
        network.clients = std::move(everybody);
        members.set_network(std::move(network));
        return clients.changes(members);
    }
    static std::vector<std::string> names(const std::vector<config::Client>& of) {
        std::vector<std::string> result;
        for (const config::Client& each : of)
            result.push_back(each.name);
        return result;
    }

    MemberTable members{kAuthority, key_of("berlin")};
    NetworkClients clients;
};

TEST_F(NetworkClientsTest, AreThoseThatMayConnectToThisBox) {
    const auto changes =
        apply({client("anna"), client("bert", {"munich"}), client("carl", {"munich", "berlin"})});
    EXPECT_EQ(names(changes.fresh), (std::vector<std::string>{"anna", "carl"}));
    EXPECT_TRUE(changes.present.empty());
    EXPECT_TRUE(changes.gone.empty());
}

TEST_F(NetworkClientsTest, AreNobodyAtABoxThatIsNoMember) {
    config::Network network = network_of({{"munich"}});
    network.clients = {client("anna")};
    members.set_network(std::move(network));
    EXPECT_TRUE(clients.changes(members).fresh.empty());
}

TEST_F(NetworkClientsTest, ChangeWithTheNetworkFile) {
    clients.add(1, key_of("anna"));
    clients.add(2, key_of("bert"));
    clients.add(3, key_of("carl"));
    config::Client renamed = client("anna");
    renamed.name = "anna-laptop";
    const auto changes = apply({renamed, client("bert", {"munich"}), client("dora")});
    ASSERT_EQ(changes.present.size(), 1U);
    EXPECT_EQ(changes.present[0].first, 1U);
    EXPECT_EQ(changes.present[0].second.name, "anna-laptop");
    EXPECT_EQ(names(changes.fresh), std::vector<std::string>{"dora"});
    EXPECT_EQ(changes.gone, (std::vector{key_of("bert"), key_of("carl")}))
        << "one may not connect here any more, one is not in the file";
}

TEST_F(NetworkClientsTest, AreForgottenWithTheirPeer) {
    clients.add(1, key_of("anna"));
    clients.remove(1);
    EXPECT_TRUE(apply({}).gone.empty());
    EXPECT_FALSE(clients.on_keypair(1));
}

// Rekeying makes a keypair before the old one goes: the client was here all the time.
TEST_F(NetworkClientsTest, AreHereUntilTheirLastKeypairGoes) {
    clients.add(1, key_of("anna"));
    EXPECT_EQ(clients.on_keypair(1), key_of("anna"));
    EXPECT_EQ(clients.on_keypair(1), key_of("anna"));
    EXPECT_FALSE(clients.on_keypair_removed(1));
    EXPECT_EQ(clients.on_keypair_removed(1), key_of("anna"));
    EXPECT_FALSE(clients.on_keypair_removed(1)) << "there was none";
}

TEST_F(NetworkClientsTest, AreNoOtherPeers) {
    clients.add(1, key_of("anna"));
    EXPECT_FALSE(clients.on_keypair(2));
    EXPECT_FALSE(clients.on_keypair_removed(2));
}

}  // namespace
}  // namespace meshgate::mesh::test
