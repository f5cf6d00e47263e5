// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "control/packets/udp.h"
#include "control/site_routers/policy.h"
#include "control/site_routers/routers.h"
#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::control::site_routers {
namespace {

using namespace std::chrono_literals;
using Kind = Refusal::Kind;

constexpr babel::InterfaceId kInterface = 1;
constexpr PortId kLan = 1;
constexpr PeerId kAlice = 5;
constexpr MacAddress kOtherMac{{2, 0, 0, 0, 7, 7}};

Prefix prefix(const char* text) {
    return *parse_prefix(text);
}

IpAddress address(const char* text) {
    return *parse_address(text);
}

// ---- policy ----

class PolicyTest : public testing::Test {
protected:
    std::optional<Kind> refused(const char* text, babel::InterfaceId interface = kInterface) const {
        const auto refusal = policy_.refusal(interface, prefix(text));
        EXPECT_EQ(policy_.may_announce({interface, {}}, prefix(text)), !refusal.has_value());
        return refusal ? std::optional{refusal->kind} : std::nullopt;
    }
    void accept(std::vector<Prefix> prefixes, PeerId peer = kNoPeer) {
        policy_.set_filter(kInterface,
                           {.accept = std::move(prefixes), .announce = {}, .peer = peer});
    }
    Policy policy_;
};

TEST_F(PolicyTest, LetsInWhatIsInsideAccept) {
    accept({prefix("10.6.0.0/16"), prefix("fd06::/16")});
    EXPECT_EQ(refused("10.6.0.0/16"), std::nullopt);
    EXPECT_EQ(refused("10.6.1.0/24"), std::nullopt);
    EXPECT_EQ(refused("fd06::1/128"), std::nullopt);
    EXPECT_EQ(refused("10.7.0.0/16"), Kind::not_accepted);
    EXPECT_EQ(refused("10.0.0.0/8"), Kind::not_accepted) << "more than was accepted";
    EXPECT_EQ(refused("0.0.0.0/0"), Kind::not_accepted);
    EXPECT_EQ(refused("10.6.0.0/16", kInterface + 1), Kind::not_accepted) << "nowhere";
}

TEST_F(PolicyTest, RefusesWhatIsOursOrSomebodysWhateverIsAccepted) {
    accept({prefix("0.0.0.0/0"), prefix("::/0")});
    EXPECT_TRUE(policy_.set_ownership(
        {.own_addresses = {address("10.1.0.1"), address("fd10:1::1")},
         .node_prefix = prefix("fd00:1:2::/48"),
         .claims = {{.prefix = prefix("10.9.0.0/24"),
                     .kind = Kind::peer,
                     .owner = "alice",
                     .peer = kAlice},
                    {.prefix = prefix("0.0.0.0/0"), .kind = Kind::peer, .owner = "exit", .peer = 9},
                    {.prefix = prefix("10.2.0.0/16"), .kind = Kind::member, .owner = "munich"},
                    {.prefix = prefix("10.9.9.9/32"), .kind = Kind::client, .owner = "bob"}}}));
    EXPECT_EQ(refused("10.1.0.1/32"), Kind::own_address);
    EXPECT_EQ(refused("fd10:1::1/128"), Kind::own_address);
    EXPECT_EQ(refused("10.1.0.0/24"), std::nullopt) << "a router may name the network it is on";
    EXPECT_EQ(refused("fd00:1:2::5/128"), Kind::node_prefix);
    EXPECT_EQ(refused("10.2.0.0/16"), Kind::member);
    EXPECT_EQ(refused("10.2.128.0/17"), Kind::member) << "a part of it would win over it";
    EXPECT_EQ(refused("10.0.0.0/8"), std::nullopt) << "never wins over it";
    EXPECT_EQ(refused("10.9.9.9/32"), Kind::client);
    EXPECT_EQ(refused("10.9.0.7/32"), Kind::peer);
    EXPECT_EQ(refused("0.0.0.0/0"), std::nullopt) << "what is left over is nobody's";
    EXPECT_EQ(to_string(*policy_.refusal(kInterface, prefix("10.2.1.0/24"))),
              "it is member munich's");
    accept({prefix("0.0.0.0/0")}, kAlice);
    EXPECT_EQ(refused("10.9.0.7/32"), std::nullopt) << "her own";
    EXPECT_EQ(refused("10.2.0.0/16"), Kind::member);
}

TEST_F(PolicyTest, TellsOnlyOfWhatIsInsideAnnounceAndNobodyOfHisOwn) {
    policy_.set_filter(
        kInterface, {.accept = {}, .announce = std::vector{prefix("10.0.0.0/8")}, .peer = kAlice});
    policy_.set_leads_to({{prefix("10.9.0.0/24"), kAlice}, {prefix("10.8.0.0/24"), 9}});
    EXPECT_TRUE(policy_.may_export(kInterface, prefix("10.8.0.0/24"), true));
    EXPECT_FALSE(policy_.may_export(kInterface, prefix("10.9.0.0/24"), true));
    EXPECT_FALSE(policy_.may_export(kInterface, prefix("192.0.2.0/24"), true));
    EXPECT_FALSE(policy_.may_export(kInterface, prefix("0.0.0.0/0"), false));
    EXPECT_FALSE(policy_.may_export(kInterface + 1, prefix("10.8.0.0/24"), true));
    policy_.set_filter(kInterface, {});
    EXPECT_TRUE(policy_.may_export(kInterface, prefix("0.0.0.0/0"), false));
}

// ---- routers ----

DataplaneOptions two_ports() {
    DataplaneOptions options;
    options.ports.resize(2);
    options.nb_mbufs = 4096;
    return options;
}

void fill(std::span<uint8_t> bytes) {
    static uint8_t next = 1;
    for (uint8_t& byte : bytes)
        byte = ++next;
}

// A box's routers and, at the other end of a lan port or a tunnel, a router of another make.
class RoutersTest : public testing::Test {
protected:
    RoutersTest() {
        neighbors_.set_ports({{},
                              {.identity = {FakeDataplane::mac_of(kLan), 0},
                               .addresses = {address("10.1.0.1"), ours_lan()},
                               .networks = {prefix("10.1.0.0/24")},
                               .gateways = {}}},
                             now_);
        babel::InterfaceOptions options;
        options.address = address("fe80::7");
        options.ipv4 = address("10.1.0.7");
        options.hello_interval = 500ms;
        options.update_interval = 2s;
        other_.add_interface(1, options, {}, now_);
        routers_.set_own_routes(own_, now_);
    }
    static IpAddress ours_lan() { return link_local_address(FakeDataplane::mac_of(kLan)); }

    Place lan(std::vector<Prefix> accept = {prefix("10.0.0.0/8"), prefix("fd00::/8")}) {
        Place place;
        place.name = "lan0";
        place.port = kLan;
        place.identity = {FakeDataplane::mac_of(kLan), 0};
        place.networks = {prefix("10.1.0.0/24")};
        place.options.address = ours_lan();
        place.options.hello_interval = 500ms;
        place.filter.accept = std::move(accept);
        return place;
    }
    Place tunnel() {
        Place place = lan();
        place.name = "alice";
        place.port = kNoPort;
        place.peer = kAlice;
        place.filter.peer = kAlice;
        place.options.address = address("fe80::1234");
        return place;
    }
    void set(Place place) {
        PacketInfo info{.port = place.port, .peer = place.peer, .source_mac = kOtherMac};
        if (place.port == kNoPort)
            info.port = 0;  // the wan port that the datagram came by
        arrival_ = info;
        std::vector<Place> places;
        places.push_back(std::move(place));
        routers_.set_places(std::move(places), {}, now_);
        routers_.set_own_routes(own_, now_);
    }

    void deliver_ours() {
        for (const auto& sent : dataplane_.take_sent()) {
            std::span<const uint8_t> bytes = sent.bytes;
            if (sent.info.inject == Inject::frame)
                bytes = bytes.subspan(14);
            const auto udp = parse_udp(bytes);
            if (!udp)
                continue;
            EXPECT_EQ(sent.info.peer, arrival_.peer);
            EXPECT_EQ(bytes[7], 1) << "hop limit";
            sent_.push_back(sent);
            if (!cut_)
                other_.receive({.interface = 1,
                                .flow = {udp->source, udp->destination},
                                .bytes = udp->payload},
                               now_);
        }
    }
    void deliver_theirs() {
        for (const auto& packet : other_.take_packets()) {
            if (cut_)
                continue;
            const Packet made = make_udp(
                dataplane_, {.source = packet.flow.source, .destination = packet.flow.destination},
                packet.bytes);
            dataplane_.punt(Punt::mesh, made.bytes(), arrival_);
            const Packet punt = dataplane_.next_punt();
            ASSERT_TRUE(routers_.takes(punt.info()));
            routers_.receive(punt, now_);
        }
    }
    void run(Time::duration duration) {
        for (const Time end = now_ + duration; now_ < end; now_ += 10ms) {
            routers_.tick(now_);
            other_.tick(now_);
            for (const Neighbors::Outgoing& asked : neighbors_.take_frames())
                asked_.push_back(asked);
            deliver_ours();
            deliver_theirs();
        }
        for (const babel::RouteChange& change : other_.take_route_changes())
            theirs_[change.prefix] = change.state;
    }
    std::optional<ForwardingEntry> ours(const char* text) {
        for (const RibRoute& route : routers_.routes()) {
            if (route.prefix == prefix(text))
                return route.entry;
        }
        return std::nullopt;
    }
    bool they_have(const char* text) {
        const auto at = theirs_.find(prefix(text));
        return at != theirs_.end() && at->second == babel::RouteChange::State::reachable;
    }

    Time now_ = Time{} + 1h;
    std::vector<RibRoute> own_{
        {prefix("10.1.0.0/24"),
         {.kind = ForwardKind::connected, .port = kLan},
         RouteOrigin::network},
        {prefix("10.9.0.0/24"),
         {.kind = ForwardKind::peer, .peer = kAlice},
         RouteOrigin::allowed_ips},
        {prefix("10.66.0.0/16"), {.kind = ForwardKind::blackhole}, RouteOrigin::routes},
        {prefix("10.1.0.1/32"), {.kind = ForwardKind::local, .port = kLan}, RouteOrigin::address}};
    FakeDataplane dataplane_{two_ports()};
    Log log_{config::Log{.level = config::LogLevel::error, .format = config::LogFormat::text}};
    Neighbors neighbors_{64, 1};
    Routers routers_{{dataplane_, neighbors_, log_, fill}};
    babel::Speaker other_{{.fill_random = fill, .router_id = {}}};
    PacketInfo arrival_;
    bool cut_ = false;
    std::vector<FakeDataplane::Sent> sent_;
    std::vector<Neighbors::Outgoing> asked_;
    std::map<Prefix, babel::RouteChange::State> theirs_;
};

TEST_F(RoutersTest, LearnsRoutesOfALanPort) {
    other_.originate(prefix("10.6.0.0/16"), babel::Scope::everywhere, now_);
    other_.originate(prefix("fd06::/16"), babel::Scope::everywhere, now_);
    set(lan());
    run(3s);
    const auto v4 = ours("10.6.0.0/16");
    ASSERT_TRUE(v4);
    EXPECT_EQ(v4->kind, ForwardKind::gateway);
    EXPECT_EQ(v4->port, kLan);
    EXPECT_EQ(v4->next_hop, address("10.1.0.7"));
    const auto v6 = ours("fd06::/16");
    ASSERT_TRUE(v6);
    EXPECT_EQ(v6->next_hop, address("fe80::7"));
    EXPECT_TRUE(routers_.take_changed());
    EXPECT_FALSE(routers_.take_changed());
    EXPECT_FALSE(asked_.empty()) << "the next hops' MAC addresses are asked for at once";
}

TEST_F(RoutersTest, TakesTheNeighborItselfWhereArpCannotReachTheNextHop) {
    other_.originate(prefix("10.6.0.0/16"), babel::Scope::everywhere, now_);
    Place place = lan();
    place.networks.clear();
    set(std::move(place));
    run(3s);
    ASSERT_TRUE(ours("10.6.0.0/16"));
    EXPECT_EQ(ours("10.6.0.0/16")->next_hop, address("fe80::7"));
}

TEST_F(RoutersTest, TellsWhatTheBoxReaches) {
    set(lan());
    run(3s);
    EXPECT_TRUE(they_have("10.1.0.0/24"));
    EXPECT_TRUE(they_have("10.9.0.0/24"));
    EXPECT_FALSE(they_have("10.66.0.0/16")) << "leads nowhere";
    EXPECT_FALSE(they_have("10.1.0.1/32")) << "inside the network";
    own_.erase(own_.begin() + 1);
    routers_.set_own_routes(own_, now_);
    run(1s);
    EXPECT_FALSE(they_have("10.9.0.0/24")) << "retracted, long before it expires";
}

TEST_F(RoutersTest, SpeaksInsideATunnel) {
    other_.originate(prefix("10.6.0.0/16"), babel::Scope::everywhere, now_);
    set(tunnel());
    run(3s);
    ASSERT_FALSE(sent_.empty());
    for (const auto& sent : sent_)
        EXPECT_EQ(sent.info.inject, Inject::seal);
    ASSERT_TRUE(ours("10.6.0.0/16"));
    EXPECT_EQ(ours("10.6.0.0/16")->kind, ForwardKind::peer);
    EXPECT_EQ(ours("10.6.0.0/16")->peer, kAlice);
    EXPECT_TRUE(they_have("10.1.0.0/24"));
    EXPECT_FALSE(they_have("10.9.0.0/24")) << "what leads there";
}

TEST_F(RoutersTest, GreetsTheGroupByItsMacAddress) {
    set(lan());
    run(100ms);
    ASSERT_FALSE(sent_.empty());
    const auto& frame = sent_.front().bytes;
    EXPECT_EQ(sent_.front().info.port, kLan);
    EXPECT_TRUE(std::ranges::equal(std::span{frame}.first(6),
                                   std::array<uint8_t, 6>{0x33, 0x33, 0, 1, 0, 6}));
}

TEST_F(RoutersTest, RefusesWhatIsSomebodysAndCounts) {
    set(lan());
    routers_.set_ownership(
        {.own_addresses = {},
         .node_prefix = {},
         .claims = {{.prefix = prefix("10.2.0.0/16"), .kind = Kind::member, .owner = "munich"}}},
        now_);
    run(2s);
    other_.originate(prefix("10.2.1.0/24"), babel::Scope::everywhere, now_);
    other_.originate(prefix("192.0.2.0/24"), babel::Scope::everywhere, now_);
    run(1s);
    EXPECT_FALSE(ours("10.2.1.0/24"));
    EXPECT_FALSE(ours("192.0.2.0/24"));
    EXPECT_EQ(routers_.nb_refused().at(Kind::member), 1U);
    EXPECT_EQ(routers_.nb_refused().at(Kind::not_accepted), 1U);
    EXPECT_GE(routers_.speaker().counter(babel::Counter::prefixes_refused), 2U);
    ASSERT_EQ(routers_.places().size(), 1U);
    EXPECT_EQ(routers_.places()[0].refused.total, 2U);
    // What becomes somebody's while it is in the table leaves it.
    other_.originate(prefix("10.6.0.0/16"), babel::Scope::everywhere, now_);
    run(1s);
    ASSERT_TRUE(ours("10.6.0.0/16"));
    routers_.set_ownership(
        {.own_addresses = {},
         .node_prefix = {},
         .claims = {{.prefix = prefix("10.6.0.0/16"), .kind = Kind::member, .owner = "munich"}}},
        now_);
    EXPECT_TRUE(!ours("10.6.0.0/16") || ours("10.6.0.0/16")->kind == ForwardKind::blackhole);
}

TEST(RouterMark, IsInTheRouterIdAndTheRestNewAtEachStart) {
    const RouterMark mark = router_mark(address("fd08:fe4a:69ab::1:2a3b:4c5d"));
    EXPECT_EQ(mark, (RouterMark{0x2a, 0x3b, 0x4c, 0x5d}));
    const std::vector<uint8_t> prefix(mark.begin(), mark.end());
    const babel::Speaker first{{.fill_random = fill, .router_id_prefix = prefix}};
    const babel::Speaker second{{.fill_random = fill, .router_id_prefix = prefix}};
    EXPECT_TRUE(std::ranges::equal(std::span{first.router_id()}.first(4), mark));
    EXPECT_TRUE(std::ranges::equal(std::span{second.router_id()}.first(4), mark));
    EXPECT_NE(first.router_id(), second.router_id());
}

TEST_F(RoutersTest, PassesOverWhatAnotherBoxOfTheNetworkSays) {
    set(lan());
    Policy::Ownership ownership{
        .own_addresses = {},
        .node_prefix = {},
        .claims = {{.prefix = prefix("10.2.0.0/16"), .kind = Kind::member, .owner = "munich"}}};
    RouterMark mark{};
    std::copy_n(other_.router_id().begin(), mark.size(), mark.begin());
    ownership.boxes.insert(mark);
    routers_.set_ownership(ownership, now_);
    run(2s);
    other_.originate(prefix("10.2.0.0/16"), babel::Scope::everywhere, now_);
    other_.originate(prefix("192.0.2.0/24"), babel::Scope::everywhere, now_);
    other_.originate(prefix("10.6.0.0/16"), babel::Scope::everywhere, now_);
    run(3s);
    EXPECT_FALSE(ours("10.2.0.0/16"));
    EXPECT_FALSE(ours("192.0.2.0/24"));
    EXPECT_TRUE(ours("10.6.0.0/16")) << "what is accepted comes from a box as from a router";
    EXPECT_TRUE(routers_.nb_refused().empty());
    EXPECT_EQ(routers_.places()[0].refused.total, 0U);
    EXPECT_GE(routers_.speaker().counter(babel::Counter::prefixes_of_our_network), 2U);
    // One that leaves the network is a stranger.
    ownership.boxes.clear();
    routers_.set_ownership(ownership, now_);
    run(3s);
    EXPECT_EQ(routers_.nb_refused().at(Kind::member), 1U);
}

TEST_F(RoutersTest, RaisesNoAlarmAboutItsOwnWordsComeBack) {
    Place place = lan({});
    place.options.split_horizon = false;
    set(std::move(place));
    babel::InterfaceOptions radio;
    radio.address = address("fe80::7");
    radio.hello_interval = 500ms;
    radio.split_horizon = false;
    other_.remove_interface(1, now_);
    other_.add_interface(1, radio, {}, now_);
    run(5s);
    ASSERT_TRUE(they_have("10.1.0.0/24"));
    EXPECT_GT(routers_.speaker().counter(babel::Counter::updates_received), 0U);
    EXPECT_TRUE(routers_.nb_refused().empty());
}

TEST_F(RoutersTest, DropsPacketsForALostRouteUntilItIsForgotten) {
    other_.originate(prefix("10.6.0.0/16"), babel::Scope::everywhere, now_);
    Place radio = lan();
    radio.options.split_horizon = false;  // we have told others of it
    set(std::move(radio));
    run(3s);
    ASSERT_TRUE(ours("10.6.0.0/16"));
    cut_ = true;
    run(4s);
    ASSERT_TRUE(ours("10.6.0.0/16"));
    EXPECT_EQ(ours("10.6.0.0/16")->kind, ForwardKind::blackhole);
    run(60s);
    EXPECT_FALSE(ours("10.6.0.0/16"));
}

TEST_F(RoutersTest, LosesNeighborsWithTheLinkAtOnce) {
    other_.originate(prefix("10.6.0.0/16"), babel::Scope::everywhere, now_);
    set(lan());
    run(3s);
    ASSERT_TRUE(ours("10.6.0.0/16"));
    Place down = lan();
    down.up = false;
    set(std::move(down));
    EXPECT_TRUE(routers_.speaker().neighbors().empty());
    EXPECT_TRUE(!ours("10.6.0.0/16") || ours("10.6.0.0/16")->kind == ForwardKind::blackhole);
    set(lan());
    run(3s);
    EXPECT_TRUE(ours("10.6.0.0/16"));
}

TEST_F(RoutersTest, ChangesUnderWayKeepNeighbors) {
    other_.originate(prefix("10.6.0.0/16"), babel::Scope::everywhere, now_);
    set(lan());
    run(3s);
    ASSERT_TRUE(they_have("10.9.0.0/24"));
    Place other = lan();
    other.options.hello_interval = 300ms;
    other.options.cost.bias = 104;
    other.filter.announce = std::vector{prefix("10.1.0.0/16")};
    set(std::move(other));
    EXPECT_EQ(routers_.speaker().neighbors().size(), 1U);
    ASSERT_TRUE(ours("10.6.0.0/16"));
    EXPECT_EQ(ours("10.6.0.0/16")->kind, ForwardKind::gateway);
    run(1s);
    EXPECT_TRUE(they_have("10.1.0.0/24"));
    EXPECT_FALSE(they_have("10.9.0.0/24")) << "retracted, long before it expires";
    EXPECT_GE(routers_.speaker().neighbors()[0].cost, 200);
    set(lan({}));
    EXPECT_TRUE(!ours("10.6.0.0/16") || ours("10.6.0.0/16")->kind == ForwardKind::blackhole);
}

TEST_F(RoutersTest, TakesNothingWhereNoEntryIs) {
    set(lan());
    EXPECT_TRUE(routers_.takes({.port = kLan}));
    EXPECT_FALSE(routers_.takes({.port = 0}));
    EXPECT_FALSE(routers_.takes({.port = kLan, .peer = kAlice}));
    routers_.set_places({}, {}, now_);
    EXPECT_FALSE(routers_.takes({.port = kLan}));
}

TEST_F(RoutersTest, SurvivesWhatIsNoDatagram) {
    set(lan());
    for (const size_t len : {0U, 1U, 39U, 47U, 48U, 60U}) {
        dataplane_.punt(Punt::mesh, std::vector<uint8_t>(len, 0x60), arrival_);
        routers_.receive(dataplane_.next_punt(), now_);
    }
    EXPECT_EQ(routers_.speaker().counter(babel::Counter::packets_received), 0U);
    EXPECT_EQ(dataplane_.drops(Drop::local_no_listener), 6U);
}

TEST_F(RoutersTest, SaysGoodbye) {
    set(lan());
    run(3s);
    ASSERT_TRUE(they_have("10.1.0.0/24"));
    routers_.shutdown();
    deliver_ours();
    for (const babel::RouteChange& change : other_.take_route_changes())
        theirs_[change.prefix] = change.state;
    EXPECT_FALSE(they_have("10.1.0.0/24"));
}

}  // namespace
}  // namespace meshgate::control::site_routers
