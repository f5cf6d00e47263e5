// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/mesh_views.h"

#include <gtest/gtest.h>

#include "control/mesh/clients/client_underlay.h"
#include "control/mesh/relays/dataplane_relay_entries.h"
#include "tests/unit/control/mesh/remote_box.h"

namespace meshgate::mesh::test {
namespace {

using control::ExplainView;
using control::LinkView;
using control::MemberView;
using control::PathKind;
using control::RelayView;

// berlin, which reaches london directly and munich over it; nobody talks to paris.
class MeshViewsTest : public RemoteTest {
protected:
    MeshViewsTest() {
        set_network({{"berlin"},
                     {"london", Role::relay, "192.0.2.1:1"},
                     {"munich", Role::leaf, "192.0.2.2:1"},
                     {"paris"}});
        munich = &member("munich");
        london = &member("london");
        munich->traffic.on_wanted(now);
        prober.on_network_changed(now);
        const std::vector<RelayMember> everybody{
            {members.node(), false}, {london->node, true}, {munich->node, false}};
        relays.set_members(everybody, now);
    }
    void reach_london() {
        start_session(*london, 1, 2);
        to_london = connect("london", "192.0.2.1:1");
        remote("london").announce(munich->node, 50, now);
        probe("london");
        pass(2s);
        paths.update_all(at());
    }
    void reach_munich_over_london() {
        reach_london();
        start_session(*munich, 10, 20);
        relays.open(20, munich->node, now);
        for (const Outgoing& out : relays.take_messages()) {
            if (const auto* open = std::get_if<RelayOpen>(&out.message))
                relays.receive(london->node,
                               RelayReply{open->request, open->index, RelayAnswer::accepted}, now);
        }
        for (const RelayChange& change : relays.take_changes())
            paths.on_relay_change(*munich, change, at());
    }
    Now at() const { return {.mono = now}; }

    Member* munich = nullptr;
    Member* london = nullptr;
    LinkId to_london = kNoLink;
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
    CandidateSearch search{
        {.underlay = underlay, .links = links, .prober = prober, .channel = channel}};
    NeighborExchange neighborhood{members.node(), paths};
    ClientUnderlay client_underlay{underlay, [this] { return at(); }};
    RelayedClients relayed_clients{paths, entries, client_underlay};
    MeshViews views{{.dataplane = fake,
                     .device = device,
                     .underlay = underlay,
                     .members = members,
                     .channel = channel,
                     .port_terms = port_terms,
                     .links = links,
                     .prober = prober,
                     .candidates = search,
                     .paths = paths,
                     .relays = relays,
                     .exchange = neighborhood,
                     .relayed_clients = relayed_clients},
                    now};
};

TEST_F(MeshViewsTest, ShowLinksWithWhatWasMeasured) {
    reach_london();
    add_link(*munich, "192.0.2.2:1", kWan1);
    const auto shown = views.links(at());
    ASSERT_EQ(shown.size(), 2U);
    const LinkView& up = shown[0].peer == "london" ? shown[0] : shown[1];
    const LinkView& idle = shown[0].peer == "london" ? shown[1] : shown[0];
    EXPECT_EQ(up.state, LinkView::State::up);
    EXPECT_EQ(up.port, "wan0");
    EXPECT_TRUE(up.in_use);
    EXPECT_LT(up.cost, babel::kInfinity);
    EXPECT_GE(up.age_s, 0);
    EXPECT_EQ(up.probe_interval_ms, 200U);
    EXPECT_EQ(idle.state, LinkView::State::idle);
    EXPECT_TRUE(idle.metered);
    EXPECT_FALSE(idle.in_use);
    EXPECT_LT(idle.age_s, 0) << "never heard";
    EXPECT_EQ(idle.cost, babel::kInfinity);
}

TEST_F(MeshViewsTest, ShowProbedLinksThatNobodyAnsweredOn) {
    add_link(*munich, "192.0.2.2:1");
    probe("munich");
    EXPECT_EQ(views.links(at()).at(0).state, LinkView::State::probing);
}

TEST_F(MeshViewsTest, ShowPathsOfAllMembers) {
    reach_munich_over_london();
    now += 7s;
    const auto shown = views.paths(at());
    ASSERT_EQ(shown.size(), 3U);
    EXPECT_EQ(shown[0].kind, PathKind::direct);
    EXPECT_EQ(shown[0].session, control::SessionState::up);
    EXPECT_EQ(shown[0].port, "wan0");
    EXPECT_EQ(shown[0].since_s, 7.0);
    EXPECT_EQ(shown[1].kind, PathKind::relay);
    EXPECT_EQ(shown[1].relay, "london");
    EXPECT_EQ(shown[1].remote, *parse_endpoint("192.0.2.1:1"));
    EXPECT_EQ(shown[2].kind, PathKind::none);
    EXPECT_EQ(shown[2].session, control::SessionState::none);
    EXPECT_EQ(views.path_of(munich->peer, at())->relay, "london");
    EXPECT_FALSE(views.path_of(99, at()));
    device.on_no_session(member("paris").peer, at());
    EXPECT_EQ(views.paths(at())[2].session, control::SessionState::handshaking);
}

TEST_F(MeshViewsTest, ShowMembersOurselvesIncluded) {
    reach_london();
    london->network_version = 6;
    const auto shown = views.members(at());
    ASSERT_EQ(shown.size(), 4U);
    EXPECT_TRUE(shown[0].self);
    EXPECT_EQ(shown[0].state, MemberView::State::self);
    EXPECT_EQ(shown[0].network_version, 7U);
    EXPECT_EQ(shown[1].state, MemberView::State::up);
    EXPECT_TRUE(shown[1].relay);
    EXPECT_EQ(shown[1].network_version, 6U);
    EXPECT_EQ(shown[1].endpoints, std::vector<std::string>{"192.0.2.1:1"});
    EXPECT_EQ(shown[2].state, MemberView::State::down) << "somebody wants munich";
    EXPECT_EQ(shown[3].state, MemberView::State::idle);
}

TEST_F(MeshViewsTest, ShowWhoForwardsForUs) {
    reach_munich_over_london();
    const auto shown = views.relays(at());
    ASSERT_EQ(shown.size(), 1U);
    EXPECT_EQ(shown[0].role, RelayView::Role::using_);
    EXPECT_EQ(shown[0].from, "berlin");
    EXPECT_EQ(shown[0].to, "munich");
    EXPECT_EQ(shown[0].via, "london");
    EXPECT_EQ(shown[0].index, 20U);
    EXPECT_EQ(shown[0].state, RelayView::State::open);
}

TEST_F(MeshViewsTest, ShowForWhomWeForward) {
    reach_london();
    relays.set_serving(true);
    relays.receive(munich->node, RelayOpen{1, 44, london->node}, now);
    for (const Outgoing& out : relays.take_messages()) {
        if (const auto* open = std::get_if<RelayOpen>(&out.message))
            relays.receive(london->node,
                           RelayReply{open->request, open->index, RelayAnswer::accepted}, now);
    }
    const auto shown = views.relays(at());
    ASSERT_EQ(shown.size(), 1U);
    EXPECT_EQ(shown[0].role, RelayView::Role::serving);
    EXPECT_EQ(shown[0].from, "munich");
    EXPECT_EQ(shown[0].to, "london");
    EXPECT_TRUE(shown[0].via.empty()) << "directly";
    EXPECT_EQ(shown[0].expires_s, 180.0);
}

TEST_F(MeshViewsTest, NameRelaysThatAreNotReachedAfterAWhile) {
    EXPECT_TRUE(views.problems(at()).empty()) << "the box has just started";
    now += 10s + 1ms;
    const auto problems = views.problems(at());
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_NE(problems[0].find("london"), std::string::npos);
    reach_london();
    EXPECT_TRUE(views.problems(at()).empty());
    members.set_network(network_of({{"london", Role::relay}}));
    EXPECT_NE(views.problems(at()).at(0).find("no member of network acme"), std::string::npos);
}

TEST_F(MeshViewsTest, ExplainAMember) {
    EXPECT_FALSE(views.explain("rome", at()));
    EXPECT_EQ(views.explain("berlin", at())->verdict, ExplainView::Verdict::self);
    EXPECT_EQ(views.explain("paris", at())->verdict, ExplainView::Verdict::idle);
    EXPECT_EQ(views.explain("london", at())->verdict, ExplainView::Verdict::no_session);
    reach_munich_over_london();
    EXPECT_EQ(views.explain("london", at())->verdict, ExplainView::Verdict::direct);
    const auto munich_view = views.explain("munich", at());
    EXPECT_EQ(munich_view->verdict, ExplainView::Verdict::relayed);
    EXPECT_EQ(munich_view->cause, ExplainView::Cause::no_way_to_endpoints);
    EXPECT_TRUE(munich_view->links.empty()) << "its own only";
    ASSERT_EQ(munich_view->relays.size(), 1U);
    EXPECT_EQ(munich_view->relays[0].name, "london");
    EXPECT_FALSE(munich_view->relays[0].to_all);
    EXPECT_FALSE(munich_view->next_try_s);
    search.review(*munich, now);
    EXPECT_EQ(views.explain("munich", at())->next_try_s, 2.0);
    munich->path.reset();
    EXPECT_EQ(views.explain("munich", at())->verdict, ExplainView::Verdict::no_path);
}

TEST_F(MeshViewsTest, CountWhatEachPartCounts) {
    channel.count_undecodable();
    const auto counts = views.events();
    const auto count_of = [&](const std::string& name) {
        const auto found = std::ranges::find(counts, name, &control::ResultCount::result);
        return found == counts.end() ? -1 : static_cast<int>(found->count);
    };
    EXPECT_EQ(count_of("message_undecodable"), 1);
    for (const char* name : {"babel_packets_sent", "relay_opens_received", "file_pieces_sent",
                             "client_entries_sent", "published_initiations_forwarded"})
        EXPECT_EQ(count_of(name), 0) << name;
}

}  // namespace
}  // namespace meshgate::mesh::test
