// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/reload.h"

#include "config/diff.h"
#include "tests/unit/control/gateway/fixture.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

class ReloadTest : public GatewayTest {
protected:
    void apply(const config::Model& after) {
        const config::Diff changes = config::diff(a_->gateway->model(), after);
        Secrets secrets;
        secrets.private_key = key_a_.clone();
        const auto applied = a_->gateway->apply(changes, after, std::move(secrets));
        EXPECT_TRUE(applied);
    }
};

TEST_F(ReloadTest, LeavesUnchangedPeersAlone) {
    handshake();
    Keypair* const keypair = sending(*a_);
    const Link* const path = a_->dataplane.path(0);
    config::Model after = a_->gateway->model();
    after.peers.push_back(peer_of("c", generate_private_key(), "10.3.0.0/16"));
    apply(after);
    EXPECT_EQ(sending(*a_), keypair);
    EXPECT_EQ(a_->dataplane.path(0), path);
    const Snapshot& snapshot = a_->dataplane.snapshot();
    EXPECT_EQ(snapshot.entries[snapshot.fib->lookup(*parse_address("10.3.0.1"))].peer, 1U);
}

TEST_F(ReloadTest, AddsBeforeItRemoves) {
    handshake();
    config::Model after = a_->gateway->model();
    after.peers = {peer_of("c", generate_private_key(), "10.2.0.0/16")};
    apply(after);
    // That 0 went only when nothing led to it any more, the packet side asserts.
    const Snapshot& snapshot = a_->dataplane.snapshot();
    EXPECT_EQ(snapshot.entries[snapshot.fib->lookup(*parse_address("10.2.0.1"))].peer, 1U);
    EXPECT_TRUE(a_->dataplane.keypairs.empty());
    EXPECT_EQ(a_->dataplane.path(0), nullptr);
}

TEST_F(ReloadTest, SwitchesWhatIsDisabledOffAndOn) {
    handshake();
    const config::Model before = a_->gateway->model();
    config::Model after = before;
    after.peers[0].enabled = false;
    after.ports[kLan].enabled = false;
    apply(after);
    const auto kind_at = [this](const char* address) {
        const Snapshot& snapshot = a_->dataplane.snapshot();
        return snapshot.entries[snapshot.fib->lookup(*parse_address(address))].kind;
    };
    EXPECT_TRUE(a_->dataplane.keypairs.empty());
    EXPECT_EQ(kind_at("10.2.0.1"), ForwardKind::no_route);
    EXPECT_EQ(kind_at("10.1.0.9"), ForwardKind::no_route);
    EXPECT_TRUE(a_->dataplane.snapshot().ports[kLan].addresses.empty());
    EXPECT_FALSE(a_->dataplane.options().ports[kLan].enabled);
    EXPECT_EQ(a_->gateway->model(), after) << "all stays written";
    apply(before);
    EXPECT_EQ(kind_at("10.2.0.1"), ForwardKind::peer);
    EXPECT_EQ(kind_at("10.1.0.9"), ForwardKind::connected);
    EXPECT_TRUE(a_->dataplane.options().ports[kLan].enabled);
}

TEST_F(ReloadTest, FollowsANameOnlyWhenThePeerDoesNotAnswer) {
    handshake();
    config::Model after = a_->gateway->model();
    after.peers[0].endpoint.reset();
    after.peers[0].endpoint_name = {"gw.example.net", 51820};
    apply(after);
    const std::string before = to_string(a_->dataplane.path(0)->remote);
    EXPECT_EQ(a_->gateway->endpoint_names().hosts(), std::set<std::string>{"gw.example.net"});
    a_->gateway->set_addresses("gw.example.net", {*parse_address("203.0.113.77")});
    EXPECT_EQ(to_string(a_->dataplane.path(0)->remote), before) << "it works";
    clock_ns_ += 180'000'000'000;
    send_from_lan(*a_, 9);
    pass(6s);
    a_->gateway->follow_names();
    EXPECT_EQ(to_string(a_->dataplane.path(0)->remote), "203.0.113.77:51820");
}

TEST_F(ReloadTest, MovesPrefixesBetweenLivingPeers) {
    handshake();
    config::Model after = a_->gateway->model();
    after.peers[0].allowed_ips = {*parse_prefix("10.20.0.0/16")};
    apply(after);
    const Snapshot& snapshot = a_->dataplane.snapshot();
    EXPECT_EQ(snapshot.fib->lookup(*parse_address("10.2.0.1")), 0U);
    EXPECT_NE(snapshot.fib->lookup(*parse_address("10.20.0.1")), 0U);
    EXPECT_NE(sending(*a_), nullptr);
}

TEST_F(ReloadTest, MovesAConfiguredEndpointAndKeepsARoamedOne) {
    handshake();
    a_->dataplane.notes.push_back({.kind = Note::Kind::endpoint_moved,
                                   .port = kWan,
                                   .peer = 0,
                                   .remote = *parse_endpoint("203.0.113.5:4000"),
                                   .local = *parse_endpoint("192.0.2.1:51820")});
    a_->poll();
    const auto remote = [this] { return to_string(a_->dataplane.path(0)->remote); };
    EXPECT_EQ(remote(), "203.0.113.5:4000");
    config::Model after = a_->gateway->model();
    after.peers[0].persistent_keepalive_s = 25;
    apply(after);
    EXPECT_EQ(remote(), "203.0.113.5:4000") << "the file did not move it";
    after.peers[0].endpoint = parse_endpoint("203.0.113.6:5000");
    apply(after);
    EXPECT_EQ(remote(), "203.0.113.6:5000");
}

TEST_F(ReloadTest, AcceptsTheOldListenPortForAWhile) {
    config::Model after = a_->gateway->model();
    after.wireguard.listen_port = 4444;
    apply(after);
    EXPECT_EQ(a_->dataplane.snapshot().listen_ports, (std::vector<uint16_t>{4444, 51820}));
    pass(181s);
    EXPECT_EQ(a_->dataplane.snapshot().listen_ports, (std::vector<uint16_t>{4444}));
}

TEST_F(ReloadTest, ChangesAddressesLive) {
    config::Model after = a_->gateway->model();
    after.ports[kLan].addresses.push_back(*parse_prefix("10.7.0.1/24"));
    a_->dataplane.take_sent();
    apply(after);
    const Snapshot& snapshot = a_->dataplane.snapshot();
    EXPECT_EQ(snapshot.entries[snapshot.fib->lookup(*parse_address("10.7.0.1"))].kind,
              ForwardKind::local);
    EXPECT_EQ(snapshot.ports[kLan].addresses.size(), 2U);
    EXPECT_EQ(a_->dataplane.take_sent().size(), 1U) << "announced";
}

TEST_F(ReloadTest, RefusesMorePeersThanThereIsRoomFor) {
    config::Model after = a_->gateway->model();
    after.peers.resize(1);
    for (unsigned i = 0; i < a_->dataplane.options().max_peers; ++i) {
        config::Peer peer = after.peers[0];
        std::memcpy(peer.public_key.bytes.data(), &i, sizeof i);
        peer.public_key.bytes[31] = 1;
        peer.allowed_ips.clear();
        after.peers.push_back(peer);
    }
    const config::Diff changes = config::diff(a_->gateway->model(), after);
    Secrets secrets;
    EXPECT_FALSE(a_->gateway->apply(changes, after, std::move(secrets)));
    EXPECT_EQ(a_->gateway->model().peers.size(), 1U);
}

TEST(LivePart, LeavesOutWhatNeedsARestart) {
    config::Model before;
    before.ports = {port("wan0", config::Role::wan, "192.0.2.1/24"),
                    port("lan0", config::Role::lan, "10.1.0.1/24")};
    config::Model after = before;
    after.dataplane.workers = 4;
    after.ports[1].addresses = {*parse_prefix("10.5.0.1/24")};
    after.wireguard.listen_port = 1;
    config::Model live = live_part(before, after);
    EXPECT_EQ(live.dataplane.workers, 1U);
    EXPECT_EQ(live.ports, after.ports);
    EXPECT_EQ(live.wireguard.listen_port, 1);
    after.ports[1].mtu_bytes = 1400;
    after.routes = {{*parse_prefix("10.8.0.0/16"), parse_address("10.5.0.2")}};
    live = live_part(before, after);
    EXPECT_EQ(live.ports, before.ports);
    EXPECT_TRUE(live.routes.empty()) << "routes go with their ports";
    EXPECT_FALSE(config::diff(before, live).needs_restart);
}

}  // namespace
}  // namespace meshgate::control
