// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/neighbor_exchange.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {
namespace {

using namespace std::chrono_literals;

const PublicKey kClient{{9}};

struct Everywhere : RouteLookup {
    std::optional<NextHop> next_hop_to(const IpAddress& target) const override {
        return NextHop{1, target};
    }
};

class NeighborExchangeTest : public testing::Test {
protected:
    NeighborExchangeTest() {
        const std::vector<ClientRule> rules{{.key = kClient, .boxes = {}}};
        const std::vector<IpAddress> members{node(1), node(2), node(3)};
        exchange.roaming().set_network(rules, members, now);
        exchange.files().set_current(5, std::vector<uint8_t>(kSignatureLen + 10), now);
        exchange.roaming().here(kClient, {1}, now);
        exchange.take_messages(now);
    }
    // Whom we said something of this kind since the last call.
    template <typename M>
    std::set<IpAddress> told() {
        std::set<IpAddress> result;
        exchange.tick(now);
        for (const Outgoing& outgoing : exchange.take_messages(now)) {
            if (std::holds_alternative<M>(outgoing.message))
                result.insert(outgoing.to);
        }
        return result;
    }

    Time now = Time{} + 1h;
    Everywhere routes;
    NeighborExchange exchange{node(1), routes};
    bool said_version = false, said_client = false;
};

TEST_F(NeighborExchangeTest, TellsANewNeighborTheVersionAndTheClients) {
    exchange.set_neighbors({node(2)}, now);
    exchange.tick(now);
    const auto messages = exchange.take_messages(now);
    const auto has = [&](const Message& message) {
        return std::ranges::any_of(messages, [&](const Outgoing& outgoing) {
            return outgoing.to == node(2) && outgoing.message.index() == message.index();
        });
    };
    EXPECT_TRUE(has(State{}));
    EXPECT_TRUE(has(ClientAt{}));
}

TEST_F(NeighborExchangeTest, TellsItNothingAgainWhileItStays) {
    exchange.set_neighbors({node(2)}, now);
    EXPECT_EQ(told<ClientAt>(), std::set{node(2)});
    exchange.set_neighbors({node(2), node(3)}, now);
    EXPECT_EQ(told<ClientAt>(), std::set{node(3)});
}

// The other end saw the link come up first: its State is the first that we hear of it.
TEST_F(NeighborExchangeTest, TakesWhoSpeaksForANeighbor) {
    exchange.receive(node(2), State{5}, now);
    EXPECT_EQ(told<ClientAt>(), std::set{node(2)});
    exchange.receive(node(3), ClientAt{}, now);
    EXPECT_EQ(told<State>(), std::set{node(3)});
}

TEST_F(NeighborExchangeTest, StopsWithANeighborThatIsGone) {
    exchange.set_neighbors({node(2), node(3)}, now);
    exchange.set_neighbors({node(3)}, now);
    exchange.take_messages(now);
    exchange.files().set_current(6, std::vector<uint8_t>(kSignatureLen + 10), now);
    exchange.roaming().here(kClient, {2}, now);
    for (int i = 0; i < 20; ++i) {
        now += 100ms;
        exchange.tick(now);
        EXPECT_FALSE(told<State>().contains(node(2)));
    }
    exchange.roaming().here(kClient, {3}, now);
    EXPECT_EQ(told<ClientAt>(), std::set{node(3)});
}

TEST_F(NeighborExchangeTest, IsDueWhenEitherPartIs) {
    EXPECT_EQ(exchange.next_deadline(),
              std::min(exchange.files().next_deadline(), exchange.roaming().next_deadline()));
    exchange.set_neighbors({node(2)}, now);
    exchange.tick(now);
    exchange.take_messages(now);
    const Time due = exchange.next_deadline();
    EXPECT_GT(due, now);
    EXPECT_EQ(due, std::min(exchange.files().next_deadline(), exchange.roaming().next_deadline()));
    // Both parts are ticked: the version is repeated, and the client refreshed.
    for (now += 1s; now < Time{} + 1h + 2min; now += 1s) {
        exchange.tick(now);
        for (const Outgoing& outgoing : exchange.take_messages(now)) {
            said_version |= std::holds_alternative<State>(outgoing.message);
            said_client |= std::holds_alternative<ClientAt>(outgoing.message);
        }
    }
    EXPECT_TRUE(said_version);
    EXPECT_TRUE(said_client);
}

}  // namespace
}  // namespace meshgate::mesh::test
