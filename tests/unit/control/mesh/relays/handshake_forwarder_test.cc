// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/relays/handshake_forwarder.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {
namespace {

using namespace std::chrono_literals;
using Role = HandshakeForwarder::Role;

const IpAddress kSelf = node(1);
const IpAddress kFar = node(2);
const NextHop kRelay{.link = 3, .node = node(3)};
const Time kStart{100s};

struct Routes final : RouteLookup {
    std::optional<NextHop> next_hop_to(const IpAddress& target) const override {
        const auto found = to.find(target);
        return found == to.end() ? std::nullopt : std::optional{found->second};
    }
    std::map<IpAddress, NextHop> to;
};

class MeshHandshakes : public testing::Test {
protected:
    Handshake message(const IpAddress& to, uint8_t hops_left = 3) const {
        return {.from = node(9), .to = to, .hops_left = hops_left, .bytes = {1, 2, 3}};
    }

    Routes routes;
    HandshakeForwarder forwarder{kSelf, routes};
};

TEST_F(MeshHandshakes, OursGoToTheNextHop) {
    routes.to[kFar] = kRelay;
    forwarder.send(kFar, std::vector<uint8_t>{7, 8}, kStart);
    const auto sent = forwarder.take_messages();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent.front().via, kRelay);
    EXPECT_EQ(sent.front().message.from, kSelf);
    EXPECT_EQ(sent.front().message.to, kFar);
    EXPECT_EQ(sent.front().message.hops_left, kMaxHandshakeHops - 1);
    EXPECT_EQ(sent.front().message.bytes, (std::vector<uint8_t>{7, 8}));
}

TEST_F(MeshHandshakes, ThoseForUsGoToTheDevice) {
    forwarder.receive(message(kSelf, 0), Role::leaf, kStart);
    const auto received = forwarder.take_received();
    ASSERT_EQ(received.size(), 1U);
    EXPECT_EQ(received.front().from, node(9));
    EXPECT_EQ(received.front().bytes, (std::vector<uint8_t>{1, 2, 3}));
}

TEST_F(MeshHandshakes, ARelayPassesOthersOnAndALeafDoesNot) {
    routes.to[kFar] = kRelay;
    forwarder.receive(message(kFar), Role::leaf, kStart);
    EXPECT_TRUE(forwarder.take_messages().empty());
    forwarder.receive(message(kFar), Role::relay, kStart);
    const auto sent = forwarder.take_messages();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent.front().message.hops_left, 2);
}

TEST_F(MeshHandshakes, AMessageThatLoopsDies) {
    routes.to[kFar] = kRelay;
    forwarder.receive(message(kFar, 0), Role::relay, kStart);
    EXPECT_TRUE(forwarder.take_messages().empty());
}

TEST_F(MeshHandshakes, TheLastOneForEachReceiverWaitsFourSecondsForARoute) {
    forwarder.send(kFar, std::vector<uint8_t>{1}, kStart);
    forwarder.send(kFar, std::vector<uint8_t>{2}, kStart + 1s);
    forwarder.tick(kStart + 4s);
    EXPECT_TRUE(forwarder.take_messages().empty());
    routes.to[kFar] = kRelay;
    forwarder.on_route(kFar, kStart + 4s);
    const auto sent = forwarder.take_messages();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent.front().message.bytes, std::vector<uint8_t>{2});
    forwarder.on_route(kFar, kStart + 4s);
    EXPECT_TRUE(forwarder.take_messages().empty()) << "once";
    routes.to.clear();
    forwarder.send(kFar, std::vector<uint8_t>{3}, kStart);
    routes.to[kFar] = kRelay;
    forwarder.on_route(kFar, kStart + 4s);
    EXPECT_TRUE(forwarder.take_messages().empty()) << "too late";
}

TEST_F(MeshHandshakes, QueuesAreBounded) {
    for (unsigned box = 10; box < 1010; ++box) {
        forwarder.send(node(box), std::vector<uint8_t>{1}, kStart);
        forwarder.receive(message(kSelf), Role::leaf, kStart);
    }
    EXPECT_EQ(forwarder.take_received().size(), 256U);
    for (unsigned box = 10; box < 1010; ++box) {
        routes.to[node(box)] = kRelay;
        forwarder.on_route(node(box), kStart);
    }
    EXPECT_EQ(forwarder.take_messages().size(), 256U);
}

}  // namespace
}  // namespace meshgate::mesh::test
