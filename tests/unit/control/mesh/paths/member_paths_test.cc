// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/member_paths.h"

#include <gtest/gtest.h>

#include "control/mesh/relays/dataplane_relay_entries.h"
#include "tests/unit/control/mesh/remote_box.h"

namespace meshgate::mesh::test {
namespace {

constexpr uint32_t kLocal = 10, kRemote = 20;  // indices of the session with munich

// berlin reaches london by a link, and munich over it or by a link of its own.
class MemberPathsTest : public RemoteTest {
protected:
    MemberPathsTest() {
        set_network({{"berlin"}, {"london", Role::relay}, {"munich"}});
        munich = &member("munich");
        london = &member("london");
        munich->traffic.on_wanted(now);
        prober.on_network_changed(now);
        const std::vector<RelayMember> everybody{
            {members.node(), false}, {london->node, true}, {munich->node, false}};
        relays.set_members(everybody, now);
    }

    // London's link works, and leads to munich as well.
    LinkId reach_over_london() {
        start_session(*london, 1, 2);
        const LinkId link = connect("london", "192.0.2.1:1");
        remote("london").announce(munich->node, 50, now);
        probe("london");
        pass(2s);
        update();
        return link;
    }
    LinkId reach_directly() {
        const LinkId link = connect("munich", "192.0.2.2:1");
        probe("munich");
        pass(2s);
        update();
        return link;
    }
    void update() { paths.update_all(at()); }
    Now at() const { return {.mono = now}; }
    // London answers what we asked of it.
    void london_says(RelayAnswer answer) {
        for (const Outgoing& out : relays.take_messages()) {
            if (const auto* open = std::get_if<RelayOpen>(&out.message))
                relays.receive(london->node, RelayReply{open->request, open->index, answer}, now);
        }
        settle_relays();
    }
    void settle_relays() {
        for (const RelayChange& change : relays.take_changes())
            paths.on_relay_change(*munich, change, at());
    }
    // The session with munich is there, and london forwards for it.
    void be_relayed() {
        reach_over_london();
        start_session(*munich, kLocal, kRemote);
        relays.open(kRemote, munich->node, now);
        london_says(RelayAnswer::accepted);
        ASSERT_TRUE(munich->is_relayed());
    }
    // Keeps users' packets going, and answers end-to-end probes or not.
    enum class Probes : uint8_t { answered, lost };
    void talk(Time::duration duration, Probes probes) {
        for (const Time end = now + duration; now < end;) {
            pass(100ms);
            munich->traffic.on_wanted(now);
            paths.review(*munich, at());
            for (const Message& message : messages_to(*munich)) {
                const auto* asked = std::get_if<Probe>(&message);
                if (asked != nullptr && probes == Probes::answered)
                    paths.on_probe_reply(*munich, asked->id, now);
            }
        }
    }

    Member* munich = nullptr;
    Member* london = nullptr;
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
};

// ---- direct ----

TEST_F(MemberPathsTest, AreDirectByALinkThatWorks) {
    start_session(*munich, kLocal, kRemote);
    EXPECT_FALSE(paths.next_hop_to(munich->node));
    const LinkId link = reach_directly();
    ASSERT_TRUE(munich->is_direct());
    EXPECT_EQ(munich->path->via.link, link);
    EXPECT_EQ(paths.next_hop_to(munich->node), (NextHop{link, munich->node}));
    const auto known = underlay.path_of(munich->peer);
    ASSERT_TRUE(known);
    EXPECT_EQ(known->remote, *parse_endpoint("192.0.2.2:1"));
    EXPECT_EQ(paths.since(*munich), now);
}

TEST_F(MemberPathsTest, AreOfMembersWithASessionOnly) {
    reach_directly();
    EXPECT_FALSE(munich->path);
    EXPECT_FALSE(paths.since(*munich));
    EXPECT_FALSE(paths.next_hop_to(node_of("rome")));
}

TEST_F(MemberPathsTest, BeginWithTheLinkOfTheHandshake) {
    start_session(*munich, kLocal, kRemote);
    const LinkId link = add_link(*munich, "192.0.2.2:1");
    paths.on_handshake(*munich, LinkKey{kWan0, *parse_endpoint("192.0.2.2:1")}, now);
    paths.update(*munich, at());
    ASSERT_TRUE(munich->path) << "nothing is measured yet";
    EXPECT_EQ(munich->path->via.link, link);
}

TEST_F(MemberPathsTest, DoNotTrustAHandshakeForLong) {
    start_session(*munich, kLocal, kRemote);
    add_link(*munich, "192.0.2.2:1");
    paths.on_handshake(*munich, LinkKey{kWan0, *parse_endpoint("192.0.2.2:1")}, now);
    now += 5s;
    paths.update(*munich, at());
    EXPECT_FALSE(munich->path);
}

TEST_F(MemberPathsTest, StayWhileTheMemberIsIdle) {
    start_session(*munich, kLocal, kRemote);
    const LinkId link = reach_directly();
    now += 61s;
    prober.stop_probing(*munich, now);
    update();
    ASSERT_TRUE(munich->path) << "nobody probes for it";
    EXPECT_EQ(munich->path->via.link, link);
    EXPECT_FALSE(paths.is_failing(*munich));
}

TEST_F(MemberPathsTest, FailBeforeTheyAreGivenUp) {
    start_session(*munich, kLocal, kRemote);
    reach_directly();
    prober.stop_probing(*munich, now);
    update();
    EXPECT_TRUE(paths.is_failing(*munich));
    ASSERT_TRUE(munich->path) << "most outages are short";
    now += 3s;
    munich->traffic.on_wanted(now);
    paths.review(*munich, at());
    EXPECT_FALSE(munich->path);
    EXPECT_EQ(fake.path(munich->peer), nullptr) << "packets are refused";
    EXPECT_FALSE(paths.is_failing(*munich));
}

TEST_F(MemberPathsTest, FailNoLongerOnceALinkWorksAgain) {
    start_session(*munich, kLocal, kRemote);
    reach_directly();
    prober.stop_probing(*munich, now);
    update();
    EXPECT_TRUE(paths.is_failing(*munich));
    probe("munich");
    pass(6s);
    update();
    EXPECT_TRUE(munich->is_direct());
    EXPECT_FALSE(paths.is_failing(*munich));
}

TEST_F(MemberPathsTest, EndWithTheirLink) {
    start_session(*munich, kLocal, kRemote);
    const LinkId link = reach_directly();
    EXPECT_FALSE(paths.is_stale());
    paths.on_link_gone(link + 1);
    EXPECT_TRUE(munich->path);
    paths.on_link_gone(link);
    EXPECT_FALSE(munich->path);
    EXPECT_TRUE(paths.is_stale());
}

TEST_F(MemberPathsTest, EndWithTheSession) {
    start_session(*munich, kLocal, kRemote);
    reach_directly();
    munich->keypairs.clear();
    paths.on_session_gone(*munich);
    EXPECT_FALSE(munich->path);
    ASSERT_NE(fake.path(munich->peer), nullptr) << "packets wait for the next session";
    EXPECT_EQ(fake.path(munich->peer)->header_len, 0);
}

TEST_F(MemberPathsTest, StayAsTheyAreWhenWeGo) {
    start_session(*munich, kLocal, kRemote);
    reach_directly();
    paths.freeze();
    prober.stop_probing(*munich, now);
    update();
    EXPECT_FALSE(paths.is_failing(*munich));
}

TEST_F(MemberPathsTest, SayOnceWhichNextHopsAreOtherOnes) {
    reach_directly();
    EXPECT_EQ(paths.take_rerouted(), std::vector{munich->node});
    EXPECT_TRUE(paths.take_rerouted().empty());
    links.remove_all(*munich, now);
    EXPECT_EQ(paths.take_rerouted(), std::vector{munich->node});
}

// ---- over relays ----

TEST_F(MemberPathsTest, WaitForTheRelayToAgree) {
    const LinkId link = reach_over_london();
    install(*munich, kLocal, kRemote);
    relays.open(kRemote, munich->node, now);
    EXPECT_FALSE(paths.may_send(*munich, kLocal, at()));
    EXPECT_FALSE(munich->path);
    london_says(RelayAnswer::accepted);
    ASSERT_TRUE(munich->is_relayed());
    EXPECT_EQ(munich->path->via, (NextHop{link, london->node}));
    EXPECT_EQ(paths.take_released(), std::vector{munich->peer});
    EXPECT_TRUE(paths.take_released().empty());
    EXPECT_TRUE(paths.may_send(*munich, kLocal, at()));
}

TEST_F(MemberPathsTest, LimitWhatGoesOverRelaysToWhatAnyLinkTakes) {
    be_relayed();
    start_session(*london, 3, 4);
    const auto with_mac = std::make_shared<Link>();
    with_mac->mtu_bytes = 8000;
    fake.set_path(munich->peer, with_mac);
    EXPECT_EQ(fake.path_mtu(munich->peer), PathMtuProbe::kRelayedCeiling);
}

TEST_F(MemberPathsTest, KeepTheOldSessionUntilTheRelayHasTheNewOne) {
    be_relayed();
    install(*munich, kLocal + 1, kRemote + 1);
    relays.open(kRemote + 1, munich->node, now);
    EXPECT_FALSE(paths.may_send(*munich, kLocal + 1, at()));
    update();
    EXPECT_TRUE(munich->is_relayed());
    EXPECT_TRUE(paths.take_released().empty()) << "london would not forward it yet";
    london_says(RelayAnswer::accepted);
    EXPECT_EQ(paths.take_released(), std::vector{munich->peer});
}

// The old session may be gone at the other end.
TEST_F(MemberPathsTest, UseASessionAnywayAfterASecond) {
    reach_over_london();
    install(*munich, kLocal, kRemote);
    relays.open(kRemote, munich->node, now);
    EXPECT_FALSE(paths.may_send(*munich, kLocal, at()));
    now += 999ms;
    paths.review(*munich, at());
    EXPECT_TRUE(paths.take_released().empty());
    now += 1ms;
    paths.review(*munich, at());
    EXPECT_EQ(paths.take_released(), std::vector{munich->peer});
    EXPECT_EQ(fake.path(munich->peer), nullptr) << "without a path packets are refused";
}

TEST_F(MemberPathsTest, UseASessionAnywayThatTheRelayRefuses) {
    reach_over_london();
    install(*munich, kLocal, kRemote);
    relays.open(kRemote, munich->node, now);
    EXPECT_FALSE(paths.may_send(*munich, kLocal, at()));
    london_says(RelayAnswer::refused_cap);
    EXPECT_EQ(paths.take_released(), std::vector{munich->peer});
    EXPECT_TRUE(paths.is_held_down(*munich, london->node));
    EXPECT_FALSE(wants_handshake(*munich));
}

TEST_F(MemberPathsTest, WantAnotherIndexWhenTheRelayHasThisOne) {
    reach_over_london();
    install(*munich, kLocal, kRemote);
    relays.open(kRemote, munich->node, now);
    EXPECT_FALSE(paths.may_send(*munich, kLocal, at()));
    london_says(RelayAnswer::refused_index_taken);
    EXPECT_TRUE(wants_handshake(*munich));
    EXPECT_FALSE(paths.is_held_down(*munich, london->node)) << "it did nothing wrong";
}

TEST_F(MemberPathsTest, MoveToADirectLinkThatWorks) {
    be_relayed();
    const LinkId link = reach_directly();
    ASSERT_TRUE(munich->is_direct());
    EXPECT_EQ(munich->path->via.link, link);
}

TEST_F(MemberPathsTest, MeasureTheWayOverRelays) {
    be_relayed();
    EXPECT_FALSE(paths.rtt_ms(*munich));
    talk(3s, Probes::answered);
    EXPECT_TRUE(paths.rtt_ms(*munich));
    EXPECT_FALSE(paths.is_held_down(*munich, london->node));
    EXPECT_FALSE(wants_handshake(*munich));
}

TEST_F(MemberPathsTest, HoldDownARelayThatForwardsNothing) {
    be_relayed();
    talk(3s, Probes::lost);
    EXPECT_TRUE(paths.is_held_down(*munich, london->node));
    EXPECT_TRUE(wants_handshake(*munich)) << "or munich has lost the session";
    paths.update_all(at());
    EXPECT_FALSE(paths.is_stale());
    EXPECT_TRUE(munich->is_relayed()) << "there is no other way";
    now += 1h;
    paths.tick(now);
    EXPECT_FALSE(paths.is_held_down(*munich, london->node));
    EXPECT_TRUE(paths.is_stale()) << "the end of a hold-down is worth a new choice";
}

TEST_F(MemberPathsTest, ForgiveARelayThatHasRestarted) {
    be_relayed();
    talk(3s, Probes::lost);
    paths.on_relay_restarted(london->node);
    EXPECT_FALSE(paths.is_held_down(*munich, london->node));
}

TEST_F(MemberPathsTest, AskTheRelayAgainAfterOneSilence) {
    be_relayed();
    talk(600ms, Probes::answered);
    relays.take_messages();
    talk(1s, Probes::lost);
    const auto asked = relays.take_messages();
    EXPECT_TRUE(std::ranges::any_of(asked, [&](const Outgoing& out) {
        return out.to == london->node && std::holds_alternative<RelayOpen>(out.message);
    })) << "it may have forgotten us";
}

TEST_F(MemberPathsTest, AreForgottenWithTheMember) {
    be_relayed();
    talk(3s, Probes::lost);
    paths.forget(*munich);
    EXPECT_FALSE(paths.is_held_down(*munich, london->node));
    EXPECT_FALSE(paths.rtt_ms(*munich));
    EXPECT_FALSE(paths.since(*munich));
    EXPECT_FALSE(paths.is_failing(*munich));
}

}  // namespace
}  // namespace meshgate::mesh::test
