// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/device.h"

#include <gtest/gtest.h>

#include "control/wireguard/cookie.h"
#include "tests/unit/control/wireguard/fixture.h"

namespace meshgate::wireguard {
namespace {

constexpr PeerId kPeer = Bench::kPeer;

TEST(Endpoint, W39_FollowsAuthenticatedHandshakesAndRepliesFromTheAddressHit) {
    Bench bench;
    Addressing from = bench.from_box(9);
    from.port = 3;
    bench.give(bench.b, initiation(bench.a, at(1)), from, at(1));
    const SendMessage response = *bench.b.take_message();
    EXPECT_EQ(response.to, from);
    EXPECT_EQ(bench.b.last<EndpointChanged>()->to, from);
    EXPECT_EQ(*bench.b.peer().endpoint, from);
    bench.give(bench.a, response, from, at(1));
    EXPECT_EQ(*bench.a.peer().endpoint, from);
}

TEST(Endpoint, W39_NothingUnauthenticatedMovesIt) {
    Bench bench;
    const SendMessage first = initiation(bench.a, at(1));
    InitiationMessage forged = message_from<InitiationMessage>(first.message.view());
    forged.encrypted_timestamp[0] ^= 1;
    CookieJar{bench.b.device.public_key()}.stamp(bytes_of(forged), 1);
    bench.b.device.receive(bytes_of(forged), bench.from_box(9), 0, at(1));
    bench.give(bench.b, first, at(1), 512);
    bench.give(bench.a, *bench.b.take_message(), bench.from_box(9), at(1));  // a cookie reply
    bench.a.drain();
    bench.b.drain();
    EXPECT_EQ(bench.a.count(HandshakeEvent::cookie_reply_received), 1U);
    EXPECT_EQ(bench.a.nb<EndpointChanged>(), 0U);
    EXPECT_EQ(bench.b.nb<EndpointChanged>(), 0U);
    EXPECT_EQ(bench.a.peer().endpoint->remote, endpoint_of(2));
    EXPECT_EQ(bench.b.peer().endpoint->remote, endpoint_of(1));
}

TEST(Endpoint, W39_TheLocalAddressIsForgottenOnRetransmission) {
    Bench bench;
    bench.a.device.on_endpoint_moved(kPeer, bench.from_box(2), at(0));
    const SendMessage first = initiation(bench.a, at(1));
    EXPECT_EQ(first.to, bench.from_box(2));
    bench.a.device.tick(at(6 * kNsPerSecond));
    const SendMessage second = *bench.a.take_message();
    EXPECT_EQ(second.to.remote, endpoint_of(2));
    EXPECT_EQ(second.to.local, Endpoint{});
    EXPECT_EQ(second.to.port, Addressing{}.port);
    EXPECT_EQ(bench.a.last<EndpointChanged>()->to, second.to);  // data packets, too
}

TEST(Endpoint, W39_DataMovesIt) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(1));
    bench.b.device.on_endpoint_moved(kPeer, bench.from_box(9), at(2));
    bench.b.drain();
    EXPECT_EQ(bench.b.last<EndpointChanged>()->to, bench.from_box(9));
    const size_t before = bench.b.nb<EndpointChanged>();
    bench.b.device.on_endpoint_moved(kPeer, bench.from_box(9), at(3));
    bench.b.drain();
    EXPECT_EQ(bench.b.nb<EndpointChanged>(), before);
}

// The caller routes to it: initiations go to the node address, a response to wherever the
// initiation came from, and nothing moves it.
TEST(Endpoint, W39_ANodeAddressNeverMoves) {
    const NodeAddress node{*parse_address("fd6d::1")};
    Bench bench;
    PeerOptions options = bench.options_for(bench.a);
    options.endpoint = node;
    bench.b.device.update_peer(kPeer, std::move(options), at(0));
    bench.give(bench.b, initiation(bench.a, at(1)), bench.from_box(9), at(1));
    EXPECT_EQ(bench.b.take_message()->to, bench.from_box(9));
    EXPECT_EQ(bench.b.last<InstallKeypair>()->from, Location{bench.from_box(9)});
    bench.b.device.on_endpoint_moved(kPeer, bench.from_box(9), at(2));
    bench.b.device.on_no_session(kPeer, at(3));
    bench.b.drain();
    EXPECT_EQ(bench.b.nb<EndpointChanged>(), 0U);
    EXPECT_FALSE(bench.b.peer().endpoint);
    ASSERT_EQ(bench.b.nb<RouteMessage>(), 1U);
    EXPECT_EQ(bench.b.last<RouteMessage>()->to, node);
    EXPECT_EQ(bench.b.last<RouteMessage>()->message.view()[0], 1);
}

TEST(Endpoint, AnInitiationThatWasRoutedIsAnsweredTheSameWay) {
    const NodeAddress node{*parse_address("fd6d::1")};
    Bench bench;
    PeerOptions options = bench.options_for(bench.a);
    options.endpoint = node;
    bench.b.device.update_peer(kPeer, std::move(options), at(0));
    const SendMessage message = initiation(bench.a, at(1));
    EXPECT_EQ(bench.b.device.receive(message.message.view(), node, 0, at(1)),
              HandshakeEvent::response_sent);
    bench.b.drain();
    ASSERT_EQ(bench.b.nb<RouteMessage>(), 1U);
    EXPECT_EQ(bench.b.last<RouteMessage>()->to, node);
    EXPECT_EQ(bench.b.last<InstallKeypair>()->from, Location{node});
}

// A peer with an endpoint does not lose it to a message that came without one.
TEST(Endpoint, AnEndpointDoesNotMoveToANodeAddress) {
    Bench bench;
    const SendMessage message = initiation(bench.a, at(1));
    const NodeAddress node{*parse_address("fd6d::1")};
    bench.b.device.receive(message.message.view(), node, 0, at(1));
    bench.b.drain();
    EXPECT_EQ(bench.b.peer().endpoint->remote, endpoint_of(1));
    EXPECT_EQ(bench.b.nb<RouteMessage>(), 0U);
    EXPECT_EQ(bench.b.take_message()->to.remote, endpoint_of(1));
}

TEST(Endpoint, W42_NoHandshakeWithoutOne) {
    Bench bench;
    PeerOptions options;
    options.public_key = public_key_of(secret(60));
    bench.a.device.add_peer(8, std::move(options), at(0));
    bench.a.device.on_no_session(8, at(1));
    EXPECT_FALSE(bench.a.take_message());
    EXPECT_FALSE(bench.a.device.peer_view(8)->endpoint);
}

}  // namespace
}  // namespace meshgate::wireguard
