// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/member_peers.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/box_fixture.h"

namespace meshgate::mesh::test {
namespace {

class MemberPeersTest : public BoxTest {
protected:
    auto add(const char* name) { return peers.add(info_of({name}), node_of(name), {.mono = now}); }
    bool waits(PeerId peer) const {
        return fake.path(peer) != nullptr && fake.path(peer)->header_len == 0;
    }

    std::map<PeerId, std::string> names;
    MemberPeers peers{
        {.dataplane = fake,
         .device = device,
         .links = underlay,
         .set_name = [this](PeerId peer, const std::string& name) { names[peer] = name; }}};
};

TEST_F(MemberPeersTest, WaitForAPathAndHaveANodeAddress) {
    const auto peer = add("munich");
    ASSERT_TRUE(peer);
    EXPECT_EQ(device.find_peer(key_of("munich")), *peer);
    EXPECT_FALSE(device.peer_view(*peer)->endpoint);
    EXPECT_TRUE(waits(*peer));
    EXPECT_TRUE(fake.path_is_fixed(*peer));
    EXPECT_EQ(names[*peer], "munich");
    device.on_no_session(*peer, {.mono = now});
    std::vector<wireguard::Action> actions;
    device.drain(actions);
    ASSERT_EQ(actions.size(), 1U);
    const auto* message = std::get_if<wireguard::RouteMessage>(&actions[0]);
    ASSERT_NE(message, nullptr);
    EXPECT_EQ(message->to.address, node_of("munich"));
}

TEST_F(MemberPeersTest, DoNotTakeTheKeyOfAnotherPeer) {
    const PeerId stock = fake.add_peer();
    device.add_peer(stock, {.public_key = key_of("munich"), .preshared_key = {}}, {.mono = now});
    const auto peer = add("munich");
    ASSERT_FALSE(peer);
    EXPECT_EQ(peer.error(), MemberPeers::Refusal::key_taken);
    fake.reclaim();
    EXPECT_EQ(fake.add_peer(), stock + 1) << "its slot was given back";
}

TEST_F(MemberPeersTest, AreNoMoreThanThereIsRoomFor) {
    while (fake.add_peer() != kNoPeer) {
    }
    const auto peer = add("munich");
    ASSERT_FALSE(peer);
    EXPECT_EQ(peer.error(), MemberPeers::Refusal::no_room);
    EXPECT_FALSE(device.find_peer(key_of("munich")));
}

TEST_F(MemberPeersTest, KeepTheirSlotUntilItWasFetched) {
    const auto peer = add("munich");
    ASSERT_TRUE(peer);
    peers.remove(*peer, {.mono = now});
    EXPECT_FALSE(device.find_peer(key_of("munich")));
    EXPECT_EQ(fake.path(*peer), nullptr) << "packets are refused";
    EXPECT_EQ(peers.take_departed(), std::vector{*peer});
    EXPECT_TRUE(peers.take_departed().empty());
}

TEST_F(MemberPeersTest, RefusePacketsOnceNobodyFindsPathsForThem) {
    PeerId peer = kNoPeer;
    {
        MemberPeers shortlived{{.dataplane = fake,
                                .device = device,
                                .links = underlay,
                                .set_name = [](PeerId, const std::string&) {}}};
        peer = shortlived.add(info_of({"munich"}), node_of("munich"), {.mono = now}).value();
        EXPECT_TRUE(waits(peer));
    }
    EXPECT_EQ(fake.path(peer), nullptr);
}

}  // namespace
}  // namespace meshgate::mesh::test
