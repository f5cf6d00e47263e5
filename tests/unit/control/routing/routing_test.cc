// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "control/neighbor/messages.h"
#include "control/routing/rib.h"
#include "control/routing/snapshot_builder.h"

namespace meshgate::control {
namespace {

constexpr MacAddress kWanMac{{2, 0, 0, 0, 0, 1}};
constexpr MacAddress kLanMac{{2, 0, 0, 0, 0, 2}};

std::vector<config::Port> two_ports() {
    config::Port wan;
    wan.name = "wan0";
    wan.role = config::Role::wan;
    wan.addresses = {*parse_prefix("198.51.100.2/24")};
    wan.gateway_v4 = *parse_address("198.51.100.1");
    config::Port lan;
    lan.name = "lan0";
    lan.role = config::Role::lan;
    lan.addresses = {*parse_prefix("10.1.0.1/24"), *parse_prefix("fd10:1::1/64")};
    return {wan, lan};
}

class PublishTest : public testing::Test {
protected:
    void build(std::vector<config::Route> routes, std::vector<PeerPrefixes> peers) {
        builder_.set_ports(ports_, std::array{kWanMac, kLanMac});
        builder_.set_routes(build_rib(ports_, routes, peers));
        snapshot_ = builder_.build();
    }

    const ForwardingEntry& lookup(const char* address) const {
        return snapshot_->entries.at(snapshot_->fib->lookup(*parse_address(address)));
    }

    std::vector<config::Port> ports_ = two_ports();
    SnapshotBuilder builder_;
    std::shared_ptr<const Snapshot> snapshot_;
};

TEST_F(PublishTest, ForwardsByLongestPrefix) {
    build({{*parse_prefix("10.1.8.0/21"), parse_address("10.1.0.254")},
           {*parse_prefix("10.66.0.0/16"), std::nullopt}},
          {{7, {*parse_prefix("10.0.0.0/8"), *parse_prefix("::/0")}},
           {9, {*parse_prefix("10.9.0.2/32")}}});
    EXPECT_EQ(lookup("10.2.3.4").kind, ForwardKind::peer);
    EXPECT_EQ(lookup("10.2.3.4").peer, 7U);
    EXPECT_EQ(lookup("10.9.0.2").peer, 9U);
    EXPECT_EQ(lookup("2001:db8::1").peer, 7U);
    EXPECT_EQ(lookup("10.66.1.1").kind, ForwardKind::blackhole);
    EXPECT_EQ(lookup("10.1.9.1").kind, ForwardKind::gateway);
    EXPECT_EQ(lookup("10.1.9.1").port, 1);
    EXPECT_EQ(to_string(lookup("10.1.9.1").next_hop), "10.1.0.254");
    EXPECT_EQ(lookup("10.1.0.77").kind, ForwardKind::connected);
    EXPECT_EQ(lookup("fd10:1::77").port, 1);
    EXPECT_EQ(lookup("10.1.0.1").kind, ForwardKind::local);
    EXPECT_EQ(lookup("fd10:1::1").kind, ForwardKind::local);
    EXPECT_EQ(lookup("192.0.2.1").kind, ForwardKind::no_route);
}

TEST_F(PublishTest, NeverForwardsBroadcastsAndLinkLocal) {
    build({}, {{7, {*parse_prefix("0.0.0.0/0"), *parse_prefix("::/0")}}});
    EXPECT_EQ(lookup("10.1.0.255").kind, ForwardKind::broadcast);
    EXPECT_EQ(lookup("10.1.0.0").kind, ForwardKind::broadcast);
    EXPECT_EQ(lookup("fe80::1").kind, ForwardKind::blackhole);
    EXPECT_EQ(lookup("127.0.0.1").kind, ForwardKind::blackhole);
}

TEST_F(PublishTest, LeavesWanNetworksOut) {
    build({}, {});
    EXPECT_EQ(lookup("198.51.100.2").kind, ForwardKind::local);
    EXPECT_EQ(lookup("198.51.100.77").kind, ForwardKind::no_route);
    build({}, {{7, {*parse_prefix("0.0.0.0/0")}}});
    EXPECT_EQ(lookup("198.51.100.77").kind, ForwardKind::peer) << "sealed, never plain";
}

TEST_F(PublishTest, LetsOwnNetworksWinOverPeersThatClaimThem) {
    build({}, {{7, {*parse_prefix("10.1.0.0/24"), *parse_prefix("10.1.0.1/32")}}});
    EXPECT_EQ(lookup("10.1.0.5").kind, ForwardKind::connected);
    EXPECT_EQ(lookup("10.1.0.1").kind, ForwardKind::local);
}

TEST_F(PublishTest, LetsOwnRoutesWinOverLearnedOnes) {
    build({{*parse_prefix("10.66.0.0/16"), std::nullopt}}, {{7, {*parse_prefix("10.2.0.0/16")}}});
    const auto learned = [](const char* prefix) {
        return RibRoute{
            *parse_prefix(prefix), {.kind = ForwardKind::peer, .peer = 9}, RouteOrigin::babel};
    };
    builder_.set_routes(with_learned(
        builder_.routes(), {learned("10.2.0.0/16"), learned("10.2.3.0/24"), learned("10.66.0.0/16"),
                            learned("10.1.0.0/24"), learned("127.0.0.0/8"), learned("0.0.0.0/0")}));
    snapshot_ = builder_.build();
    EXPECT_EQ(lookup("10.2.0.1").peer, 7U);
    EXPECT_EQ(lookup("10.2.3.1").peer, 9U) << "the longer prefix";
    EXPECT_EQ(lookup("10.66.0.1").kind, ForwardKind::blackhole);
    EXPECT_EQ(lookup("10.1.0.5").kind, ForwardKind::connected);
    EXPECT_EQ(lookup("127.0.0.1").kind, ForwardKind::blackhole);
    EXPECT_EQ(lookup("192.0.2.1").peer, 9U);
    EXPECT_EQ(std::ranges::count(builder_.routes(), RouteOrigin::babel, &RibRoute::origin), 2);
    builder_.set_routes(with_learned(builder_.routes(), {}));
    snapshot_ = builder_.build();
    EXPECT_EQ(lookup("10.2.3.1").peer, 7U);
    EXPECT_EQ(lookup("192.0.2.1").kind, ForwardKind::no_route);
}

TEST_F(PublishTest, ComplainsFromTheDummyAddressWhereItRoutesIpv4WithoutHavingAny) {
    for (config::Port& port : ports_)
        port.addresses = {*parse_prefix("fd10:1::1/64")};
    build({}, {});
    EXPECT_EQ(snapshot_->icmp_sources, std::vector{*parse_address("fd10:1::1")});
    ports_[1].babel = true;
    build({}, {});
    EXPECT_EQ(snapshot_->icmp_sources,
              (std::vector{*parse_address("fd10:1::1"), *parse_address("192.0.0.8")}));
}

TEST_F(PublishTest, GivesAPortThatSpeaksBabelALinkLocalAddress) {
    ports_[1].addresses = {*parse_prefix("10.1.0.1/24")};
    build({}, {});
    EXPECT_EQ(snapshot_->ports[1].addresses.size(), 1U);
    ports_[1].babel = true;
    build({}, {});
    ASSERT_EQ(snapshot_->ports[1].addresses.size(), 2U);
    EXPECT_EQ(snapshot_->ports[1].addresses[1], link_local_address(kLanMac));
}

TEST_F(PublishTest, ShowsPortsWithTheirLinkLocalAddress) {
    build({}, {});
    ASSERT_EQ(snapshot_->ports.size(), 2U);
    EXPECT_EQ(snapshot_->ports[0].role, PortRole::wan);
    EXPECT_EQ(snapshot_->ports[0].addresses.size(), 1U) << "no IPv6, no link-local address";
    ASSERT_EQ(snapshot_->ports[1].addresses.size(), 3U);
    EXPECT_EQ(snapshot_->ports[1].addresses[2], link_local_address(kLanMac));
    EXPECT_EQ(to_string(snapshot_->ports[1].networks[0]), "10.1.0.0/24");
    EXPECT_EQ(snapshot_->icmp_sources,
              (std::vector{*parse_address("10.1.0.1"), *parse_address("fd10:1::1")}));
}

TEST_F(PublishTest, SharesWhatDidNotChange) {
    build({}, {{7, {*parse_prefix("10.2.0.0/16")}}});
    const auto before = snapshot_;
    builder_.set_neighbors(std::array{
        NeighborTable::Neighbor{1, *parse_address("10.1.0.20"), MacAddress{{2, 0, 0, 0, 0, 9}}}});
    EXPECT_FALSE(builder_.set_routes(
        build_rib(ports_, {}, std::array{PeerPrefixes{7, {*parse_prefix("10.2.0.0/16")}}})));
    const auto after = builder_.build();
    EXPECT_EQ(before->fib, after->fib);
    EXPECT_NE(before->neighbors, after->neighbors);
    EXPECT_NE(after->neighbors->find(1, *parse_address("10.1.0.20")), nullptr);
    EXPECT_TRUE(builder_.set_routes(
        build_rib(ports_, {}, std::array{PeerPrefixes{8, {*parse_prefix("10.2.0.0/16")}}})));
    EXPECT_NE(builder_.build()->fib, after->fib);
}

}  // namespace
}  // namespace meshgate::control
