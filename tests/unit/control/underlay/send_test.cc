// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/send.h"

#include <gtest/gtest.h>

#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::control {
namespace {

class HandshakeSenderTest : public testing::Test {
protected:
    static HandshakeSender::Handshake numbered(uint8_t number) {
        HandshakeSender::Handshake handshake;
        handshake.message.message.len = 148;
        handshake.message.message.bytes[1] = number;
        return handshake;
    }
    static NextHop next_hop(uint32_t number) { return {0, IpAddress::v4(number)}; }

    FakeDataplane fake{DataplaneOptions{}};
    HandshakeSender sender{fake};
};

TEST_F(HandshakeSenderTest, KeepsTheOrderAndCountsTheOldestOut) {
    for (int i = 0; i < 1025; ++i)
        sender.hold(next_hop(1), numbered(static_cast<uint8_t>(i)));
    EXPECT_EQ(fake.drops(Drop::unresolved_neighbor), 1U);
    const auto taken = sender.take(next_hop(1));
    ASSERT_EQ(taken.size(), 1024U);
    EXPECT_EQ(taken.front().message.message.bytes[1], 1);
    EXPECT_EQ(taken.back().message.message.bytes[1], 0);
    EXPECT_EQ(sender.nb_waiting(), 0U);
}

TEST_F(HandshakeSenderTest, BoundsWhatWaitsForAllNextHopsTogether) {
    for (uint32_t hop = 0; hop < 5; ++hop) {
        for (int i = 0; i < 1024; ++i)
            sender.hold(next_hop(hop), numbered(0));
    }
    EXPECT_EQ(sender.nb_waiting(), 4096U);
    EXPECT_EQ(fake.drops(Drop::unresolved_neighbor), 1024U);
}

TEST_F(HandshakeSenderTest, CountsWhatFindsNoPacketBuffer) {
    const Link link = make_link({.port = 0,
                                 .port_mtu_bytes = 1500,
                                 .vlan = kNoVlan,
                                 .source_mac = {},
                                 .next_hop_mac = {},
                                 .local = *parse_endpoint("192.0.2.1:51820"),
                                 .remote = *parse_endpoint("192.0.2.2:51820")});
    auto all = fake.take_all_mbufs();
    sender.send(link, numbered(0).message);
    EXPECT_EQ(fake.drops(Drop::no_mbuf), 1U);
    EXPECT_TRUE(fake.take_sent().empty());
    all.clear();
    sender.send(link, numbered(0).message);
    EXPECT_EQ(fake.take_sent().size(), 1U);
}

}  // namespace
}  // namespace meshgate::control
