// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/link_prober.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/remote_box.h"

namespace meshgate::mesh::test {
namespace {

class LinkProberTest : public RemoteTest {
protected:
    LinkProberTest() {
        set_network({{"berlin"}, {"london", Role::relay}, {"munich"}});
        prober.on_network_changed(now);
    }
    const Route* route_by(LinkId link, const std::vector<Route>& routes) {
        const auto found = std::ranges::find_if(
            routes, [link](const Route& route) { return route.via.link == link; });
        return found == routes.end() ? nullptr : &*found;
    }
    uint16_t cost_of(LinkId link) {
        for (const auto& neighbor : prober.speaker().neighbors()) {
            if (neighbor.id.interface == link)
                return neighbor.cost;
        }
        return babel::kInfinity;
    }
};

TEST_F(LinkProberTest, MeasuresALinkAndFindsTheMemberBehindIt) {
    const LinkId link = connect("london", "192.0.2.1:1");
    EXPECT_FALSE(prober.interval_of(link));
    probe("london");
    EXPECT_EQ(prober.interval_of(link), kIntervalInUse) << "it is new";
    EXPECT_TRUE(prober.members_up().empty());
    pass(2s);
    EXPECT_EQ(prober.members_up(), std::set{node_of("london")});
    EXPECT_TRUE(prober.take_routes_changed());
    EXPECT_FALSE(prober.take_routes_changed());
    const Routes routes = prober.routes_to(member("london"));
    const Route* route = route_by(link, routes.to_node);
    ASSERT_NE(route, nullptr);
    EXPECT_EQ(route->via.node, node_of("london"));
    EXPECT_TRUE(route->selected);
    EXPECT_LT(route->metric, babel::kInfinity);
}

TEST_F(LinkProberTest, HearsOfOthersFromARelayAlone) {
    const LinkId to_london = connect("london", "192.0.2.1:1");
    const LinkId to_munich = connect("munich", "192.0.2.2:1");
    remote("london").announce(node_of("munich"), 50, now);
    remote("munich").announce(node_of("london"), 50, now);
    probe("london");
    probe("munich");
    pass(3s);
    EXPECT_NE(route_by(to_london, prober.routes_to(member("munich")).to_node), nullptr);
    EXPECT_EQ(route_by(to_munich, prober.routes_to(member("london")).to_node), nullptr);
    const auto events = prober.take_events();
    EXPECT_TRUE(std::ranges::any_of(events, [&](const babel::Event& event) {
        return event.kind == babel::Event::Kind::prefix_refused &&
               event.neighbor.interface == to_munich;
    }));
}

TEST_F(LinkProberTest, PrefersAPortThatIsNotMetered) {
    const LinkId plain = connect("london", "192.0.2.1:1", kWan0);
    const LinkId metered = connect("london", "192.0.2.1:1", kWan1);
    probe("london");
    pass(3s);
    EXPECT_LT(cost_of(plain), cost_of(metered));
    config::Model box;
    box.ports.resize(2);
    box.ports[0].metered = true;
    port_terms.set(box);
    prober.on_port_terms_changed(now);
    pass(10s);
    EXPECT_GT(cost_of(plain), cost_of(metered));
}

TEST_F(LinkProberTest, IsSlowerOnceALinkIsNoLongerNew) {
    const LinkId link = connect("london", "192.0.2.1:1");
    probe("london");
    pass(4s);
    prober.begin_round(now);
    probe("london");
    EXPECT_EQ(prober.interval_of(link), kIntervalIdle);
    member("london").path = PathChoice{.via = {link, node_of("london")}};
    member("london").traffic.on_wanted(now);
    prober.begin_round(now);
    probe("london");
    EXPECT_EQ(prober.interval_of(link), kIntervalInUse) << "users' packets take it";
    now += 11s;
    fake.link_activities[link].relayed_packets = 1;
    prober.begin_round(now);
    probe("london");
    EXPECT_EQ(prober.interval_of(link), kIntervalInUse) << "others' packets take it";
}

TEST_F(LinkProberTest, StopsWhenNobodyNeedsTheLinks) {
    const LinkId link = connect("london", "192.0.2.1:1");
    probe("london");
    pass(2s);
    prober.take_routes_changed();
    prober.review(member("london"), false, now);
    EXPECT_FALSE(prober.interval_of(link));
    EXPECT_TRUE(prober.members_up().empty());
    EXPECT_TRUE(prober.routes_to(member("london")).to_node.empty());
    EXPECT_TRUE(prober.take_routes_changed());
}

TEST_F(LinkProberTest, ForgetsALinkThatIsGone) {
    const LinkId link = connect("london", "192.0.2.1:1");
    probe("london");
    pass(2s);
    prober.take_routes_changed();
    links.remove_all(member("london"), now);
    EXPECT_EQ(gone, std::vector{link});
    EXPECT_FALSE(prober.interval_of(link));
    EXPECT_TRUE(prober.members_up().empty());
    EXPECT_TRUE(prober.take_routes_changed());
}

// Two boxes behind NATs send at the same moment.
TEST_F(LinkProberTest, ProbesEndpointsAtOnceThatAMemberTellsOf) {
    prober.take_packets();
    prober.probe_candidates(member("munich"), {*parse_endpoint("192.0.2.9:1")}, now);
    const auto& found = links.of(member("munich"));
    ASSERT_EQ(found.size(), 2U) << "by each port";
    for (const auto& [key, link] : found) {
        EXPECT_EQ(link.origin, LinkOrigin::candidate);
        EXPECT_EQ(prober.interval_of(link.id), kIntervalInUse);
    }
    prober.tick(now);
    EXPECT_FALSE(prober.take_packets().empty());
}

TEST_F(LinkProberTest, BeginsAnewWithACandidateThatDidNotAnswer) {
    const std::vector<Endpoint> said{*parse_endpoint("192.0.2.9:1")};
    prober.probe_candidates(member("munich"), said, now);
    pass(5s);
    prober.take_packets();
    prober.begin_round(now);
    probe("munich");
    const LinkId link = links.of(member("munich")).begin()->second.id;
    EXPECT_EQ(prober.interval_of(link), kIntervalIdle);
    prober.probe_candidates(member("munich"), said, now);
    EXPECT_EQ(prober.interval_of(link), kIntervalInUse);
    prober.tick(now);
    EXPECT_FALSE(prober.take_packets().empty());
    links.find(link)->heard = now;
    prober.begin_round(now + 4s);
    prober.review(member("munich"), true, now + 4s);
    prober.probe_candidates(member("munich"), said, now + 4s);
    EXPECT_EQ(prober.interval_of(link), kIntervalIdle) << "one that works is left alone";
}

TEST_F(LinkProberTest, LearnsALinkFromTheProbesThatComeByIt) {
    const Endpoint from = *parse_endpoint("192.0.2.77:5");
    prober.receive(member("munich"), {kWan1, from},
                   {{member("munich").link_local, 6696}, {members.link_local(), 6696}}, {}, now);
    const auto& found = links.of(member("munich"));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found.begin()->first, (LinkKey{kWan1, from}));
    EXPECT_EQ(found.begin()->second.origin, LinkOrigin::heard);
    EXPECT_EQ(found.begin()->second.heard, now);
}

TEST_F(LinkProberTest, IsFastAgainOnALinkHeardAfterASilence) {
    const LinkId link = connect("london", "192.0.2.1:1");
    probe("london");
    pass(1s);
    remote("london").silent = true;
    pass(6s);
    prober.begin_round(now);
    probe("london");
    EXPECT_NE(prober.interval_of(link), kIntervalInUse);
    remote("london").silent = false;
    pass(3s);
    prober.begin_round(now);
    probe("london");
    EXPECT_EQ(prober.interval_of(link), kIntervalInUse);
}

// Hellos on idle links are two seconds apart: a shared fault would be found that late.
TEST_F(LinkProberTest, AsksLinksThatShareTheFault) {
    const LinkId failed = connect("munich", "192.0.2.2:1", kWan0);
    const LinkId same_member = connect("munich", "192.0.2.2:1", kWan1);
    const LinkId relay_same_port = connect("london", "192.0.2.1:1", kWan0);
    const LinkId relay_other_port = connect("london", "192.0.2.1:1", kWan1);
    probe("munich");
    probe("london");
    pass(5s);
    prober.begin_round(now);
    probe("munich");
    probe("london");
    pass(3s);
    remote("munich").silent = remote("london").silent = true;
    pass(250ms);
    prober.take_events();
    prober.suspect_shared_links(failed, now);
    pass(300ms);
    std::set<LinkId> down;
    for (const babel::Event& event : prober.take_events()) {
        if (event.kind == babel::Event::Kind::neighbor_down)
            down.insert(event.neighbor.interface);
    }
    EXPECT_EQ(down, (std::set{same_member, relay_same_port}));
    EXPECT_FALSE(down.contains(relay_other_port));
}

TEST_F(LinkProberTest, TakesNothingMoreAfterItsEnd) {
    connect("london", "192.0.2.1:1");
    probe("london");
    pass(2s);
    prober.shutdown();
    EXPECT_FALSE(prober.take_packets().empty()) << "it says goodbye";
    const uint64_t before = prober.speaker().counter(babel::Counter::packets_received);
    remote("london").speaker.tick(now += 1s);
    exchange();
    EXPECT_EQ(prober.speaker().counter(babel::Counter::packets_received), before);
}

}  // namespace
}  // namespace meshgate::mesh::test
