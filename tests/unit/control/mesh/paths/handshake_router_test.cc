// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/handshake_router.h"

#include <gtest/gtest.h>

#include <cstring>

#include "control/mesh/relays/dataplane_relay_entries.h"
#include "tests/unit/control/mesh/remote_box.h"

namespace meshgate::mesh::test {
namespace {

class HandshakeRouterTest : public RemoteTest {
protected:
    HandshakeRouterTest() {
        set_network({{"berlin"}, {"london", Role::relay}, {"munich"}});
        munich = &member("munich");
        london = &member("london");
        prober.on_network_changed(now);
        start_session(*london, 1, 2);
        connect("london", "192.0.2.1:1");
        remote("london").announce(munich->node, 50, now);
        probe("london");
        pass(2s);
        london->path = PathChoice{.via = {links.of(*london).begin()->second.id, london->node}};
        device.on_no_session(munich->peer, {.mono = now});
        resolve_gateways();
        fake.take_sent();
    }
    static wireguard::RouteMessage initiation_to(const Member& to) {
        wireguard::RouteMessage message;
        message.peer = to.peer;
        message.message.len = kInitiationLen;
        message.message.bytes[0] = 1;
        message.to.address = to.node;
        return message;
    }
    // Endpoints that messages left for since the last call.
    std::set<Endpoint> sent_to() {
        std::set<Endpoint> result;
        for (const auto& sent : fake.take_sent()) {
            if (sent.info.inject != Inject::frame || sent.bytes.size() < 42 + kInitiationLen)
                continue;
            const uint8_t* ip = sent.bytes.data() + 14;
            uint32_t address_be = 0;
            std::memcpy(&address_be, ip + 16, sizeof address_be);
            result.insert({IpAddress::v4(address_be), static_cast<uint16_t>(ip[22] << 8 | ip[23])});
        }
        return result;
    }
    // Handshake messages that london was given, to be passed on.
    std::vector<Handshake> passed_on() {
        handshakes.settle();
        std::vector<Handshake> result;
        for (const Message& message : messages_to(*london)) {
            if (const auto* handshake = std::get_if<Handshake>(&message))
                result.push_back(*handshake);
        }
        return result;
    }

    Member* munich = nullptr;
    Member* london = nullptr;
    DataplaneRelayEntries entries{fake};
    MemberPaths paths{{.dataplane = fake,
                       .device = device,
                       .log = log,
                       .members = members,
                       .links = underlay,
                       .member_links = links,
                       .port_terms = port_terms,
                       .prober = prober,
                       .relays = relays,
                       .channel = channel}};
    RelayTable relays{{.self = members.node()}, paths, entries};
    HandshakeRouter handshakes{{.device = device,
                                .members = members,
                                .underlay = underlay,
                                .links = links,
                                .paths = paths,
                                .channel = channel}};
};

TEST_F(HandshakeRouterTest, GoesEverywhereWithoutAPath) {
    add_link(*munich, "192.0.2.2:1", kWan0);
    add_link(*munich, "192.0.2.3:1", kWan1);
    handshakes.send(*munich, initiation_to(*munich), now);
    const auto passed = passed_on();
    ASSERT_EQ(passed.size(), 1U);
    EXPECT_EQ(passed[0].to, munich->node);
    EXPECT_EQ(passed[0].from, members.node());
    handshakes.send(*munich, initiation_to(*munich), now);
    EXPECT_EQ(sent_to(),
              (std::set{*parse_endpoint("192.0.2.2:1"), *parse_endpoint("192.0.2.3:1")}));
}

TEST_F(HandshakeRouterTest, GoesByThePathWhenThereIsOne) {
    const LinkId path = add_link(*munich, "192.0.2.2:1");
    add_link(*munich, "192.0.2.3:1");
    start_session(*munich, 10, 20);
    munich->path = PathChoice{.via = {path, munich->node}};
    handshakes.send(*munich, initiation_to(*munich), now);
    EXPECT_TRUE(passed_on().empty());
    handshakes.send(*munich, initiation_to(*munich), now);
    EXPECT_EQ(sent_to(), std::set{*parse_endpoint("192.0.2.2:1")});
}

TEST_F(HandshakeRouterTest, GoesOverTheRelaysOfThePath) {
    add_link(*munich, "192.0.2.3:1");
    start_session(*munich, 10, 20);
    munich->path = PathChoice{.via = london->path->via};
    handshakes.send(*munich, initiation_to(*munich), now);
    EXPECT_EQ(passed_on().size(), 1U);
    handshakes.send(*munich, initiation_to(*munich), now);
    EXPECT_TRUE(sent_to().empty());
}

// The path did not answer: nothing is known to work any more.
TEST_F(HandshakeRouterTest, GoesEverywhereAtTheSecondTry) {
    const LinkId path = add_link(*munich, "192.0.2.2:1");
    add_link(*munich, "192.0.2.3:1");
    start_session(*munich, 10, 20);
    munich->path = PathChoice{.via = {path, munich->node}};
    now += 6s;
    device.tick({.mono = now});
    ASSERT_EQ(device.peer_view(munich->peer)->initiations_of_attempt, 2U);
    handshakes.send(*munich, initiation_to(*munich), now);
    EXPECT_EQ(passed_on().size(), 1U);
    handshakes.send(*munich, initiation_to(*munich), now);
    EXPECT_EQ(sent_to().size(), 2U);
}

TEST_F(HandshakeRouterTest, KeepsOurOwnForTheDevice) {
    handshakes.receive({.from = munich->node, .to = members.node(), .hops_left = 3, .bytes = {1}},
                       now);
    const auto received = handshakes.take_received();
    ASSERT_EQ(received.size(), 1U);
    EXPECT_EQ(received[0].from, munich->node);
    EXPECT_TRUE(passed_on().empty());
}

TEST_F(HandshakeRouterTest, PassesNothingOnAsALeaf) {
    const auto initiation = initiation_to(*munich).message.bytes;
    const Handshake message{.from = london->node,
                            .to = munich->node,
                            .hops_left = 3,
                            .bytes = {initiation.begin(), initiation.end()}};
    handshakes.receive(message, now);
    EXPECT_TRUE(passed_on().empty());
    set_network({{"berlin", Role::relay}, {"london", Role::relay}, {"munich"}});
    handshakes.receive(message, now);
    EXPECT_EQ(passed_on().size(), 1U);
}

TEST_F(HandshakeRouterTest, KnowsNoStrangers) {
    const IpAddress rome = node_of("rome");
    handshakes.receive({.from = rome, .to = members.node(), .hops_left = 3, .bytes = {1}}, now);
    EXPECT_TRUE(handshakes.take_received().empty());
    set_network({{"berlin", Role::relay}, {"london", Role::relay}, {"munich"}});
    handshakes.receive({.from = munich->node, .to = rome, .hops_left = 3, .bytes = {1}}, now);
    EXPECT_TRUE(passed_on().empty());
}

TEST_F(HandshakeRouterTest, WaitsForARoute) {
    links.remove_all(*london, now);
    handshakes.send(*munich, initiation_to(*munich), now);
    EXPECT_TRUE(passed_on().empty());
    connect("london", "192.0.2.1:2");
    probe("london");
    pass(2s);
    handshakes.on_route(munich->node, now);
    EXPECT_EQ(passed_on().size(), 1U);
}

}  // namespace
}  // namespace meshgate::mesh::test
