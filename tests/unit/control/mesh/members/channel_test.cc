// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/channel.h"

#include <gtest/gtest.h>

#include "control/packets/udp.h"
#include "tests/unit/control/mesh/box_fixture.h"

namespace meshgate::mesh::test {
namespace {

class ChannelTest : public BoxTest {
protected:
    ChannelTest() {
        set_network({{"berlin"}, {"munich"}});
        munich = &member("munich");
    }

    // What a datagram from the member, with these ends, is taken for.
    std::optional<Message> receive(const Endpoint& source, const Endpoint& destination,
                                   std::span<const uint8_t> payload) {
        const Packet packet = control::make_udp(
            fake, {.source = source, .destination = destination, .hop_limit = 64}, payload);
        return channel.receive(packet, *munich, now);
    }
    std::optional<Message> receive(std::span<const uint8_t> payload) {
        return receive({munich->node, kMeshPort}, {members.node(), kMeshPort}, payload);
    }

    Member* munich = nullptr;
};

TEST_F(ChannelTest, SendsInsideASessionByThePath) {
    EXPECT_FALSE(channel.send(*munich, State{9})) << "no session";
    start_session(*munich, 1, 2);
    EXPECT_FALSE(channel.send(*munich, State{9})) << "no path";
    munich->path = PathChoice{};
    ASSERT_TRUE(channel.send(*munich, State{9}));
    ASSERT_EQ(fake.sent.size(), 1U);
    EXPECT_EQ(fake.sent[0].info.inject, Inject::seal);
    EXPECT_EQ(fake.sent[0].info.peer, munich->peer);
    EXPECT_EQ(fake.sent[0].info.link, kNoLink);
    const auto udp = control::parse_udp(fake.sent[0].bytes);
    ASSERT_TRUE(udp);
    EXPECT_EQ(udp->source, (Endpoint{members.node(), kMeshPort}));
    EXPECT_EQ(udp->destination, (Endpoint{munich->node, kMeshPort}));
    EXPECT_EQ(messages_to(*munich), std::vector<Message>{State{9}});
}

TEST_F(ChannelTest, NeedsNoPathToSendByALink) {
    start_session(*munich, 1, 2);
    const LinkId link = add_link(*munich, "192.0.2.1:51820");
    EXPECT_TRUE(channel.send(*munich, State{9}, link));
    ASSERT_EQ(fake.sent.size(), 1U);
    EXPECT_EQ(fake.sent[0].info.link, link);
}

// Our own messages are no traffic of users: they must not keep an idle member awake.
TEST_F(ChannelTest, CountsWhatItSendsAsControlTraffic) {
    start_session(*munich, 1, 2);
    munich->path = PathChoice{};
    channel.send(*munich, State{9});
    munich->traffic.update({.tx_packets = 1, .last_data_tx_tsc = 5}, now);
    EXPECT_FALSE(MemberTable::is_active(*munich, now));
}

TEST_F(ChannelTest, PadsAProbeToTheSizeThatIsTried) {
    start_session(*munich, 1, 2);
    const LinkId link = add_link(*munich, "192.0.2.1:51820");
    channel.send_probe(*munich, 77, 1340, link);
    ASSERT_EQ(fake.sent.size(), 1U);
    EXPECT_EQ(fake.sent[0].bytes.size(), 1340U);
    EXPECT_EQ(fake.sent[0].info.mtu_bytes, 1340U);
    EXPECT_EQ(fake.sent[0].info.link, link);
    EXPECT_EQ(messages_to(*munich), std::vector<Message>{Probe{77}});
}

TEST_F(ChannelTest, SendsBabelByTheLinkThatItProbes) {
    start_session(*munich, 1, 2);
    const LinkId link = add_link(*munich, "192.0.2.1:51820");
    channel.send_babel(*munich, {.interface = link,
                                 .flow = {{members.link_local(), 6696}, {munich->link_local, 6696}},
                                 .bytes = {42, 2, 0, 0}});
    ASSERT_EQ(fake.sent.size(), 1U);
    EXPECT_EQ(fake.sent[0].info.link, link);
    const auto udp = control::parse_udp(fake.sent[0].bytes);
    ASSERT_TRUE(udp);
    EXPECT_EQ(udp->source.address, members.link_local());
    EXPECT_EQ(fake.sent[0].bytes[7], 1) << "hop limit";
}

TEST_F(ChannelTest, TakesMessagesFromTheMembersNodeAddressToOurs) {
    const auto bytes = encode(State{9});
    EXPECT_EQ(receive(bytes), Message{State{9}});
    const Endpoint ours{members.node(), kMeshPort}, theirs{munich->node, kMeshPort};
    EXPECT_FALSE(receive({node_of("london"), kMeshPort}, ours, bytes));
    EXPECT_FALSE(receive(theirs, {node_of("london"), kMeshPort}, bytes));
    EXPECT_FALSE(receive(theirs, {members.node(), 99}, bytes));
    EXPECT_EQ(channel.nb_undecodable(), 3U);
}

TEST_F(ChannelTest, CountsWhatIsNoMessage) {
    EXPECT_FALSE(receive(std::array<uint8_t, 3>{0xff, 0, 1}));
    EXPECT_EQ(channel.nb_undecodable(), 1U);
    channel.count_undecodable();
    EXPECT_EQ(channel.nb_undecodable(), 2U);
}

TEST_F(ChannelTest, ListensToAMemberOnlySoOften) {
    const auto bytes = encode(State{9});
    for (int i = 0; i < 1000; ++i)
        ASSERT_TRUE(receive(bytes)) << i;
    EXPECT_FALSE(receive(bytes));
    now += 1s;
    EXPECT_TRUE(receive(bytes));
}

}  // namespace
}  // namespace meshgate::mesh::test
