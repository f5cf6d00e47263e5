// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "control/babel/source_table.h"
#include "tests/unit/control/babel/fixture.h"

// The rules of RFC 8966, one by one: a speaker among neighbours that the test plays. Hold, roles,
// filters, life.
namespace meshgate::babel::test {
namespace {

using State = RouteChange::State;
constexpr const char* kRemote = "fd05::/48";

// ---- hold (section 3.5.4) ----

TEST(BabelHold, LostRouteStaysUnreachableUntilAllHaveAcknowledged) {
    Two router;
    router.b->acknowledges = false;
    router.announce(*router.a, {.prefix = kRemote});
    router.run_for(2s);
    router.retract(*router.a, kRemote);
    EXPECT_EQ(router.state(kRemote), State::unreachable);
    router.run_for(2s);
    EXPECT_EQ(router.state(kRemote), State::unreachable);
    for (const auto& packet : router.packets) {  // now it answers, late
        const auto decoded = decode(packet.bytes, packet.flow.source.address);
        for (const Tlv& tlv : decoded->tlvs) {
            if (const auto* request = std::get_if<AckRequest>(&tlv);
                request && packet.interface == 2)
                router.send(*router.b, {Ack{request->nonce}});
        }
    }
    EXPECT_EQ(router.state(kRemote), State::unreachable);  // those were given up
    router.b->acknowledges = true;
    router.run_for(1s);
}

TEST(BabelHold, EndsWithTheLastAcknowledgment) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote});
    router.run_for(2s);
    router.retract(*router.a, kRemote);
    EXPECT_EQ(router.state(kRemote), State::unreachable);
    router.run_for(100ms);
    EXPECT_EQ(router.state(kRemote), State::gone);
}

TEST(BabelHold, EndsWithItsTime) {
    Two router;
    router.b->acknowledges = false;
    router.announce(*router.a, {.prefix = kRemote});
    router.run_for(2s);
    router.retract(*router.a, kRemote);
    router.run_for(55s);  // 3.5 times 16 s
    EXPECT_EQ(router.state(kRemote), State::unreachable);
    router.run_for(3s);
    EXPECT_EQ(router.state(kRemote), State::gone);
}

TEST(BabelHold, EndsWhenTheRouteIsBack) {
    Two router;
    router.b->acknowledges = false;
    router.announce(*router.a, {.prefix = kRemote});
    router.run_for(2s);
    router.retract(*router.a, kRemote);
    router.announce(*router.a, {.prefix = kRemote, .seqno = 11});
    EXPECT_EQ(router.state(kRemote), State::reachable);
    router.run_for(60s);
    router.announce(*router.a, {.prefix = kRemote, .seqno = 11});
}

TEST(BabelHold, IsNotForStubsThatHaveAnnouncedNothing) {
    Router router;
    router.lan(1, [](InterfaceOptions& options) { options.announce = Announce::own_only; });
    auto& a = router.neighbor(1, 1);
    router.announce(a, {.prefix = kRemote});
    router.run_for(2s);
    router.retract(a, kRemote);
    EXPECT_EQ(router.state(kRemote), State::gone);
}

// ---- roles ----

TEST(BabelRole, LeafAnnouncesNothingOfOthers) {
    Router router;
    for (InterfaceId i = 1; i <= 2; ++i)
        router.lan(i, [](InterfaceOptions& options) { options.announce = Announce::own_only; });
    auto& a = router.neighbor(1, 1);
    auto& b = router.neighbor(2, 2);
    router.speaker->originate(prefix("fd0a::/128"), Scope::everywhere, router.now);
    router.announce(a, {.prefix = kRemote, .interval_cs = 60000});
    router.send(b, {RouteRequest{}});
    router.send(b, {RouteRequest{prefix(kRemote)}});
    router.send(
        b,
        {SeqnoRequest{.prefix = prefix(kRemote), .seqno = 50, .hop_count = 9, .router_id = id(1)}});
    router.run_for(60s);
    EXPECT_TRUE(router.selected(kRemote));
    EXPECT_EQ(router.update_of("fd0a::/128", 2)->metric, 0);
    for (const Router::Sent& one : router.take()) {
        const auto* update = std::get_if<Update>(&one.tlv);
        if (update && update->prefix == prefix(kRemote)) {
            EXPECT_EQ(update->metric, kInfinity);
        }
        EXPECT_FALSE(std::holds_alternative<SeqnoRequest>(one.tlv));
    }
}

struct Hub : Router {
    Hub() {
        lan(1, [](InterfaceOptions& options) { options.announce = Announce::aggregates; });
        lan(2);
        leaf = &neighbor(1, 1);
        hub = &neighbor(2, 2);
        speaker->originate(prefix("fd00:6d67::/32"), Scope::aggregate, now);
        announce(*hub, {.prefix = kRemote, .interval_cs = 60000});
        run_for(1s);
    }
    Fake* leaf = nullptr;
    Fake* hub = nullptr;
};

TEST(BabelRole, HubTellsLeavesTheAggregateAndHubsTheRoutes) {
    Hub router;
    router.announce(*router.leaf, {.prefix = "fd07::/48"});
    router.run_for(60s);
    EXPECT_EQ(router.update_of("fd00:6d67::/32", 1)->metric, 0);
    EXPECT_FALSE(router.update_of("fd00:6d67::/32", 2));
    EXPECT_FALSE(router.update_of(kRemote, 1));
    EXPECT_TRUE(router.update_of("fd07::/48", 2));
}

TEST(BabelRole, LeafThatWantsASingleRouteIsKeptInformedOfIt) {
    Hub router;
    router.send(*router.leaf, {RouteRequest{prefix(kRemote)}});
    router.run_for(100ms);
    EXPECT_EQ(router.update_of(kRemote, 1)->metric, 96);
    router.take();
    router.announce(*router.hub,
                    {.prefix = kRemote, .seqno = 11, .metric = 800, .interval_cs = 60000});
    router.run_for(100ms);
    EXPECT_EQ(router.update_of(kRemote, 1)->metric, 896);
    router.take();
    router.run_for(60s);  // the interest lapses after 3.5 times 16 s
    router.take();
    router.announce(*router.hub, {.prefix = kRemote, .seqno = 12, .interval_cs = 60000});
    router.run_for(20s);
    EXPECT_FALSE(router.update_of(kRemote, 1));
}

TEST(BabelRole, LeafAsksForWhatItWantsAgainAndAgain) {
    Router router;
    router.lan(1, [](InterfaceOptions& options) { options.announce = Announce::own_only; });
    router.neighbor(1, 1);
    router.speaker->want(prefix(kRemote), router.now);
    router.run_for(50s);
    auto requests = router.take_all<RouteRequest>();
    const auto nb = std::count(requests.begin(), requests.end(), RouteRequest{prefix(kRemote)});
    EXPECT_GE(nb, 3);  // every 16 s
    EXPECT_LE(nb, 5);
    router.speaker->unwant(prefix(kRemote));
    router.run_for(50s);
    requests = router.take_all<RouteRequest>();
    EXPECT_EQ(std::count(requests.begin(), requests.end(), RouteRequest{prefix(kRemote)}), 0);
}

// ---- filters ----

class OnlyNetwork : public Policy {
public:
    Prefix allowed = prefix("fd05::/16");
    bool may_announce(const NeighborId& neighbor, const Prefix& what) const override {
        return neighbor.interface != 1 ||
               (allowed.contains(what.address) && what.len >= allowed.len);
    }
    bool may_export(InterfaceId interface, const Prefix& what, bool own) const override {
        return interface != 2 || own || what.len < 64;
    }
};

TEST(BabelPolicy, RefusedPrefixEntersNoTableAndRaisesOneAlarm) {
    OnlyNetwork policy;
    Two router{[&policy](SpeakerOptions& options) { options.policy = &policy; }};
    for (int i = 0; i < 100; ++i) {
        router.announce(*router.a, {.prefix = "fd66::/48"});
        router.announce(*router.a, {.prefix = "::/0"});
    }
    router.announce(*router.a, {.prefix = kRemote});
    EXPECT_EQ(router.speaker->routes().size(), 1U);
    EXPECT_EQ(router.nb_events(Event::Kind::prefix_refused), 2U);
    EXPECT_EQ(router.events.back().neighbor, (NeighborId{1, router.a->address}));
    EXPECT_EQ(router.speaker->counter(Counter::prefixes_refused), 200U);
    router.announce(*router.b, {.prefix = "fd66::/48"});  // another neighbour may
    EXPECT_EQ(router.speaker->routes().size(), 2U);
    router.run_for(61s);
    router.announce(*router.a, {.prefix = "fd66::/48"});
    EXPECT_EQ(router.nb_events(Event::Kind::prefix_refused), 3U);  // it has not stopped
}

TEST(BabelPolicy, ExportsOnlyWhatItMay) {
    OnlyNetwork policy;
    Two router{[&policy](SpeakerOptions& options) { options.policy = &policy; }};
    router.announce(*router.a, {.prefix = kRemote, .interval_cs = 60000});
    router.announce(*router.a, {.prefix = "fd05::7/128", .interval_cs = 60000});
    router.speaker->originate(prefix("fd0a::1/128"), Scope::everywhere, router.now);
    router.send(*router.b, {RouteRequest{prefix("fd05::7/128")}});
    router.run_for(30s);
    EXPECT_TRUE(router.selected("fd05::7/128"));
    EXPECT_TRUE(router.update_of(kRemote, 2));
    EXPECT_TRUE(router.update_of("fd0a::1/128", 2));
    EXPECT_EQ(router.update_of("fd05::7/128", 2)->metric, kInfinity);
}

TEST(BabelPolicy, ChangeDropsWhatIsNoLongerAllowed) {
    OnlyNetwork policy;
    Two router{[&policy](SpeakerOptions& options) { options.policy = &policy; }};
    router.announce(*router.a, {.prefix = kRemote});
    policy.allowed = prefix("fd06::/16");
    router.speaker->on_policy_changed(router.now);
    router.collect();
    EXPECT_FALSE(router.selected(kRemote));
    router.run_for(100ms);
    const auto requests = router.take_all<RouteRequest>();
    EXPECT_FALSE(requests.empty());  // what is allowed now is asked for
}

TEST(BabelPolicy, FloodOfPrefixesEndsAtTheLimit) {
    Router router;
    router.lan(1, [](InterfaceOptions& options) { options.max_routes = 10; });
    auto& a = router.neighbor(1, 1);
    for (uint32_t i = 0; i < 100; ++i)
        router.announce(a, {.prefix = to_string(node_prefix(i)).c_str()});
    EXPECT_EQ(router.speaker->routes().size(), 10U);
    EXPECT_GE(router.nb_events(Event::Kind::too_many_routes), 1U);
}

TEST(BabelPolicy, FloodOfPacketsIsCutAndOthersAreHeard) {
    Two router;
    for (int i = 0; i < 5000; ++i)
        router.send(*router.a, {RouteRequest{prefix("fd99::/48")}});
    EXPECT_GE(router.speaker->counter(Counter::over_rate), 3900U);
    router.announce(*router.b, {.prefix = kRemote});
    EXPECT_TRUE(router.selected(kRemote));
    router.run_for(2s);
    router.announce(*router.a, {.prefix = "fd07::/48"});
    EXPECT_TRUE(router.selected("fd07::/48"));
}

TEST(BabelSpeaker, NamesItsCounters) {
    std::set<std::string> names;
    for (size_t i = 0; i < kNbCounters; ++i)
        names.insert(to_string(static_cast<Counter>(i)));
    EXPECT_EQ(names.size(), kNbCounters);
    EXPECT_STREQ(to_string(Counter::over_rate), "over_rate");
    EXPECT_STREQ(to_string(Counter::prefixes_refused), "prefixes_refused");
}

// ---- life ----

TEST(BabelSpeaker, HasAnotherRouterIdAtEachStart) {
    std::set<RouterId> seen;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        const Speaker speaker{{.fill_random = seeded_random(seed), .router_id = std::nullopt}};
        seen.insert(speaker.router_id());
    }
    EXPECT_EQ(seen.size(), 20U);
    int calls = 0;
    const Speaker speaker{{.fill_random =
                               [&calls](std::span<uint8_t> bytes) {
                                   const int kind = calls++;
                                   std::fill(bytes.begin(), bytes.end(),
                                             static_cast<uint8_t>(kind == 0   ? 0
                                                                  : kind == 1 ? 0xff
                                                                              : 5));
                               },
                           .router_id = std::nullopt}};
    EXPECT_EQ(speaker.router_id(), (RouterId{5, 5, 5, 5, 5, 5, 5, 5}));  // never reserved ones
}

TEST(BabelSpeaker, SaysGoodbye) {
    Two router;
    router.speaker->shutdown();
    router.take();
    router.collect();
    const auto sent = router.take();
    ASSERT_EQ(sent.size(), 2U);
    for (const Router::Sent& one : sent) {
        EXPECT_EQ(one.destination, multicast_group());
        EXPECT_FALSE(std::get<Update>(one.tlv).prefix);
        EXPECT_EQ(std::get<Update>(one.tlv).metric, kInfinity);
    }
}

TEST(BabelSpeaker, RemovedInterfaceTakesItsRoutesAlong) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote});
    router.speaker->remove_interface(1, router.now);
    router.collect();
    EXPECT_FALSE(router.selected(kRemote));
    EXPECT_EQ(router.speaker->neighbors().size(), 1U);
    router.run_for(60s);
}

TEST(BabelSpeaker, HelloIntervalChangesAtOnce) {
    Two router;
    router.speaker->set_hello_interval(1, 200ms, router.now);
    router.take();
    router.run_for(1s);
    const auto sent = router.take();
    const auto nb = std::count_if(sent.begin(), sent.end(), [](const Router::Sent& one) {
        const auto* hello = std::get_if<Hello>(&one.tlv);
        return one.interface == 1 && hello && hello->interval_cs == 20;
    });
    EXPECT_GE(nb, 5);
}

TEST(BabelSpeaker, MeteredLinkIsUsedLast) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote});
    router.announce(*router.b, {.prefix = kRemote, .metric = 3000});
    EXPECT_EQ(router.selected(kRemote)->via.interface, 1U);
    CostOptions metered;
    metered.metered = true;
    router.speaker->set_cost(1, metered, router.now);
    router.collect();
    EXPECT_EQ(router.selected(kRemote)->via.interface, 2U);
    router.run_for(5s);
    bool told = false;  // the neighbour shall avoid it too
    for (const Router::Sent& one : router.take()) {
        const auto* ihu = std::get_if<Ihu>(&one.tlv);
        told |= one.interface == 1 && ihu && ihu->rxcost == 96 + kMeteredPenalty;
    }
    EXPECT_TRUE(told);
}

TEST(BabelSpeaker, SwitchesOnlyToWhatIsClearlyBetterForAWhile) {  // appendix A.3
    Two router{[](SpeakerOptions& options) {
        options.switch_margin = 16;
        options.smoothing_half_life = 4s;
    }};
    const auto refresh = [&router](uint16_t a, uint16_t b) {
        static uint16_t seqno = 100;
        router.announce(*router.a, {.prefix = kRemote, .seqno = ++seqno, .metric = a});
        router.announce(*router.b, {.prefix = kRemote, .seqno = seqno, .metric = b});
    };
    refresh(100, 100);
    for (int i = 0; i < 10; ++i) {
        router.run_for(2s);
        refresh(100, 90);  // better, but not clearly
    }
    EXPECT_EQ(router.selected(kRemote)->via.interface, 1U);
    refresh(100, 20);  // clearly, but only now
    EXPECT_EQ(router.selected(kRemote)->via.interface, 1U);
    for (int i = 0; i < 10; ++i) {
        router.run_for(2s);
        refresh(100, 20);
    }
    EXPECT_EQ(router.selected(kRemote)->via.interface, 2U);
    router.retract(*router.b, kRemote);  // lost: at once
    EXPECT_EQ(router.selected(kRemote)->via.interface, 1U);
}

TEST(BabelSpeaker, SpeaksOnlyAuthenticatedWhereThereAreKeys) {
    const auto keys = [] {
        std::array<uint8_t, 32> secret{1, 2, 3};
        std::vector<MacKey> result;
        result.emplace_back(MacAlgorithm::blake2s, secret);
        return result;
    };
    World world{5};
    Speaker a{{.fill_random = seeded_random(1), .router_id = id(1)}};
    Speaker b{{.fill_random = seeded_random(2), .router_id = id(2)}};
    Time now = Time{} + 1h;
    InterfaceOptions options;
    options.address = node_link_local(0);
    a.add_interface(1, options, keys(), now);
    options.address = node_link_local(1);
    b.add_interface(1, options, keys(), now);
    a.originate(prefix(kRemote), Scope::everywhere, now);
    std::vector<Outgoing> recorded;
    for (int i = 0; i < 2000; ++i, now += 10ms) {
        for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
            from->tick(now);
            for (const Outgoing& packet : from->take_packets()) {
                to->receive({.interface = 1, .flow = packet.flow, .bytes = packet.bytes}, now);
                if (from == &a)
                    recorded.push_back(packet);
            }
        }
    }
    EXPECT_TRUE(b.selected(prefix(kRemote)));
    const uint64_t before = b.counter(Counter::packets_received);
    for (const Outgoing& packet : recorded)
        b.receive({.interface = 1, .flow = packet.flow, .bytes = packet.bytes}, now);
    EXPECT_EQ(b.counter(Counter::packets_received), before);  // every one a replay
    EXPECT_GE(b.counter(Counter::replayed), recorded.size());
    Hello forged{.seqno = 1, .interval_cs = 100};
    PacketWriter writer{100};
    ASSERT_TRUE(writer.add(forged, node_link_local(0)));
    b.receive({.interface = 1,
               .flow = {{node_link_local(0), kPort}, {multicast_group(), kPort}},
               .bytes = writer.finish()},
              now);
    EXPECT_EQ(b.counter(Counter::bad_mac), 1U);
}

}  // namespace
}  // namespace meshgate::babel::test
