// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "babel_fixture.h"
#include "control/babel/source_table.h"

// The rules of RFC 8966, one by one: a speaker among neighbours that the test plays.
namespace meshgate::babel::test {
namespace {

using State = RouteChange::State;
constexpr const char* kRemote = "fd05::/48";

// Two LANs with a neighbour each.
struct Two : Router {
    explicit Two(const std::function<void(SpeakerOptions&)>& adjust = nullptr) : Router{adjust} {
        lan(1);
        lan(2);
        a = &neighbor(1, 1);
        b = &neighbor(2, 2);
    }
    Fake* a = nullptr;
    Fake* b = nullptr;
};

// ---- neighbours ----

TEST(BabelNeighbor, IsUpWhenBothDirectionsWork) {  // sections 3.4.1, 3.4.2
    Router router;
    router.lan(1);
    Router::Fake fake{.interface = 1, .address = node_link_local(1)};
    const auto hello = [&] {
        router.send(fake, {Hello{.seqno = ++fake.hello_seqno, .interval_cs = 100}});
    };
    hello();
    EXPECT_EQ(router.speaker->neighbors().at(0).rxcost, kInfinity);  // one is not two of three
    hello();
    router.run_for(10ms);
    EXPECT_EQ(router.speaker->neighbors().at(0).rxcost, 96);
    EXPECT_FALSE(router.speaker->neighbors().at(0).up);  // it has not said that it hears us
    router.send(fake, {Ihu{.address = node_link_local(77), .rxcost = 5, .interval_cs = 300}});
    EXPECT_FALSE(router.speaker->neighbors().at(0).up);  // that was for another
    router.send(fake, {Ihu{.address = Router::ours(1), .rxcost = 200, .interval_cs = 300}});
    EXPECT_TRUE(router.speaker->neighbors().at(0).up);
    EXPECT_EQ(router.speaker->neighbors().at(0).cost, 200);
    EXPECT_EQ(router.nb_events(Event::Kind::neighbor_up), 1U);
}

TEST(BabelNeighbor, IsTheSourceOfAHelloAloneAndOnlyALinkLocalOne) {
    Router router;
    router.lan(1, [](InterfaceOptions& options) { options.max_neighbors = 2; });
    Router::Fake fake{.interface = 1, .address = node_link_local(1)};
    router.announce(fake, {.prefix = kRemote});
    EXPECT_TRUE(router.speaker->neighbors().empty());
    Router::Fake global{.interface = 1, .address = address("2001:db8::1")};
    router.greet(global);
    EXPECT_EQ(router.speaker->counter(Counter::bad_source), 1U);
    Router::Fake elsewhere{.interface = 9, .address = node_link_local(1)};
    router.greet(elsewhere);
    EXPECT_EQ(router.speaker->counter(Counter::unknown_interface), 1U);
    PacketWriter writer{100};
    ASSERT_TRUE(writer.add(Hello{.seqno = 1, .interval_cs = 100}, fake.address));
    router.speaker->receive({.interface = 1,
                             .flow = {{fake.address, 6697}, {multicast_group(), kPort}},
                             .bytes = writer.finish()},
                            router.now);
    EXPECT_EQ(router.speaker->counter(Counter::bad_source), 2U);
    router.raw(fake, hex("2a 02 0005 03"));
    EXPECT_EQ(router.speaker->counter(Counter::malformed), 1U);
    for (uint32_t i = 1; i <= 3; ++i) {
        Router::Fake one{.interface = 1, .address = node_link_local(i)};
        router.greet(one);
    }
    EXPECT_EQ(router.speaker->neighbors().size(), 2U);
    EXPECT_EQ(router.speaker->counter(Counter::too_many_neighbors), 1U);
}

TEST(BabelNeighbor, IsDownAfterThreeMissedHellosAndNoAnswer) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote});
    router.a->alive = false;
    router.run_for(2600ms);  // due after 1.5 s and 2.5 s: two are missing
    EXPECT_TRUE(router.speaker->neighbors().at(0).up);
    EXPECT_FALSE(router.take_all<AckRequest>().empty());  // asked whether it lives
    router.run_for(1s);
    EXPECT_FALSE(router.speaker->neighbors().at(0).up);
    EXPECT_EQ(router.nb_events(Event::Kind::neighbor_down), 1U);
    EXPECT_FALSE(router.selected(kRemote));
    router.run_for(60s);
    EXPECT_EQ(router.speaker->neighbors().size(), 1U);  // and forgotten
}

TEST(BabelNeighbor, StaysUpWhileItAnswersThoughHellosAreLost) {
    Two router;
    router.a->alive = false;  // says no Hello
    const Time end = router.now + 4s;
    while (router.now < end) {
        router.run_for(100ms);
        for (const Router::Sent& one : router.take()) {
            const auto* request = std::get_if<AckRequest>(&one.tlv);
            if (request && one.destination == router.a->address)
                router.send(*router.a, {Ack{request->nonce}});
        }
    }
    EXPECT_TRUE(router.speaker->neighbors().at(0).up);  // three are missing by now
    router.run_for(5s);
    EXPECT_FALSE(router.speaker->neighbors().at(0).up);
}

TEST(BabelNeighbor, IsDownWhenItHearsUsNoMore) {  // IHU hold time, 3.5 intervals
    Two router;
    router.a->alive = false;
    for (int i = 0; i < 12; ++i) {
        EXPECT_EQ(router.speaker->neighbors().at(0).up, i <= 10) << i;
        router.send(*router.a, {Hello{.seqno = ++router.a->hello_seqno, .interval_cs = 100}});
        router.run_for(1s);
    }
    router.send(*router.a, {Ihu{.address = Router::ours(1), .rxcost = 96, .interval_cs = 300}});
    EXPECT_TRUE(router.speaker->neighbors().at(0).up);
    router.send(*router.a,
                {Ihu{.address = Router::ours(1), .rxcost = kInfinity, .interval_cs = 300}});
    EXPECT_FALSE(router.speaker->neighbors().at(0).up);
}

TEST(BabelNeighbor, IsToldAtOnceThatItIsNotHeard) {
    Two router;
    router.a->alive = false;
    router.run_for(3400ms);
    router.take();
    router.run_for(200ms);
    const auto ihus = router.take_all<Ihu>();
    ASSERT_FALSE(ihus.empty());
    EXPECT_EQ(ihus.back().rxcost, kInfinity);
}

TEST(BabelNeighbor, GetsHellosWithIhuAndJitter) {
    Two router;
    router.take();
    router.run_for(40s);
    std::vector<Time> times;
    std::set<Duration> gaps;
    uint16_t last = 0;
    for (const Router::Sent& one : router.take()) {
        const auto* hello = std::get_if<Hello>(&one.tlv);
        if (hello == nullptr || one.interface != 1)
            continue;
        EXPECT_EQ(hello->interval_cs, 400);
        EXPECT_EQ(hello->kind, HelloKind::multicast);
        if (!times.empty()) {
            EXPECT_EQ(hello->seqno, static_cast<uint16_t>(last + 1));
            gaps.insert(one.at - times.back());
        }
        last = hello->seqno;
        times.push_back(one.at);
    }
    ASSERT_GE(times.size(), 10U);
    EXPECT_GT(gaps.size(), 5U);  // not all alike
    EXPECT_GE(*gaps.begin(), 3600ms);
    EXPECT_LE(*gaps.rbegin(), 4s);
}

TEST(BabelNeighbor, AnswersAcknowledgmentRequests) {  // section 3.3
    Two router;
    router.send(*router.a, {AckRequest{0x77, 10}});
    router.run_for(100ms);
    const auto sent = router.take();
    const auto found = std::find_if(sent.begin(), sent.end(), [](const Router::Sent& one) {
        return std::holds_alternative<Ack>(one.tlv);
    });
    ASSERT_NE(found, sent.end());
    EXPECT_EQ(std::get<Ack>(found->tlv).nonce, 0x77);
    EXPECT_EQ(found->destination, router.a->address);
}

TEST(BabelNeighbor, AcceptsUnicastHellos) {
    Router router;
    router.lan(1);
    Router::Fake fake{.interface = 1, .address = node_link_local(1)};
    for (uint16_t i = 0; i < 3; ++i)
        router.send(fake, {Hello{.kind = HelloKind::unicast, .seqno = i, .interval_cs = 100},
                           Ihu{.rxcost = 96, .interval_cs = 300}});
    EXPECT_TRUE(router.speaker->neighbors().at(0).up);
    router.send(fake, {Hello{.seqno = 900, .interval_cs = 0}});  // unscheduled: no history
    EXPECT_TRUE(router.speaker->neighbors().at(0).up);
}

TEST(BabelNeighbor, OnALinkIsThePeerAndGetsUnicastHellos) {
    Router router;
    router.lan(1, [](InterfaceOptions& options) {
        options =
            InterfaceOptions::tunnel(Router::ours(1), node_link_local(1), Announce::everything);
    });
    Router::Fake stranger{.interface = 1, .address = node_link_local(2)};
    router.greet(stranger);
    EXPECT_TRUE(router.speaker->neighbors().empty());
    EXPECT_EQ(router.speaker->counter(Counter::bad_source), 1U);
    router.neighbor(1, 1);
    router.run_for(5s);
    for (const Router::Sent& one : router.take()) {
        EXPECT_EQ(one.destination, node_link_local(1));
        if (const auto* hello = std::get_if<Hello>(&one.tlv)) {
            EXPECT_EQ(hello->kind, HelloKind::unicast);
        }
    }
}

TEST(BabelNeighbor, IsMeasuredByTimestamps) {  // RFC 9616
    Router router;
    router.lan(1);
    auto& fake = router.neighbor(1, 1);
    fake.alive = false;
    for (int i = 0; i < 20; ++i) {
        // Its clock runs elsewhere. It got our Hello 30 ms ago and kept it 500 ms.
        router.run_for(4s);
        uint32_t sent_us = 0;
        Time sent_at{};
        for (const Router::Sent& one : router.take()) {
            const auto* hello = std::get_if<Hello>(&one.tlv);
            if (hello) {
                ASSERT_TRUE(hello->transmit_us);
                sent_us = *hello->transmit_us;
                sent_at = one.at;
            }
        }
        const auto away =
            std::chrono::duration_cast<std::chrono::microseconds>(router.now - sent_at);
        const auto kept_us = static_cast<uint32_t>(away.count() - 60'000);
        router.send(fake, {Hello{.seqno = ++fake.hello_seqno,
                                 .interval_cs = 400,
                                 .transmit_us = 5'000'000 + kept_us},
                           Ihu{.address = Router::ours(1),
                               .rxcost = 96,
                               .interval_cs = 1200,
                               .timestamps = Ihu::Timestamps{sent_us, 5'000'000}}});
    }
    const auto view = router.speaker->neighbors().at(0);
    EXPECT_TRUE(view.rtt_known);
    EXPECT_NEAR(view.rtt_p50_us, 60'000, 2);  // clocks are cut to microseconds
    EXPECT_LE(view.rtt_jitter_us, 1U);
    // And it gets from us what it needs for the same.
    router.run_for(4s);
    bool echoed = false;
    for (const Ihu& ihu : router.take_all<Ihu>())
        echoed |= ihu.timestamps.has_value();
    EXPECT_TRUE(echoed);
}

// ---- routes ----

TEST(BabelRoute, AddsTheCostOfTheLink) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .metric = 100});
    ASSERT_TRUE(router.selected(kRemote));
    EXPECT_EQ(router.selected(kRemote)->metric, 196);
    EXPECT_EQ(router.changes.back(), (RouteChange{.prefix = prefix(kRemote),
                                                  .state = State::reachable,
                                                  .via = {1, router.a->address},
                                                  .next_hop = router.a->address,
                                                  .metric = 196}));
    router.run_for(100ms);
    const auto update = router.update_of(kRemote, 2);
    ASSERT_TRUE(update);
    EXPECT_EQ(update->metric, 196);
    EXPECT_EQ(update->seqno, 10);
    EXPECT_EQ(update->router_id, id(1));
    EXPECT_EQ(update->next_hop, Router::ours(2));
}

TEST(BabelRoute, MetricStopsAtInfinity) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .metric = 65500});
    EXPECT_FALSE(router.selected(kRemote));
}

TEST(BabelRoute, TakesTheBestNeighbour) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .metric = 100});
    router.announce(*router.b, {.prefix = kRemote, .router = 2, .metric = 50});
    EXPECT_EQ(router.selected(kRemote)->via.interface, 2U);
    router.announce(*router.b, {.prefix = kRemote, .router = 2, .seqno = 11, .metric = 300});
    EXPECT_EQ(router.selected(kRemote)->via.interface, 1U);
}

TEST(BabelRoute, ExpiresAfterThreeAndAHalfIntervals) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .interval_cs = 400});
    router.run_for(13900ms);
    EXPECT_TRUE(router.selected(kRemote));
    router.run_for(1200ms);
    EXPECT_FALSE(router.selected(kRemote));
    EXPECT_TRUE(router.speaker->routes().empty());
}

TEST(BabelRoute, IsRefreshedByUpdates) {
    Two router;
    for (int i = 0; i < 10; ++i) {
        router.announce(*router.a, {.prefix = kRemote, .interval_cs = 400});
        router.run_for(4s);
    }
    EXPECT_TRUE(router.selected(kRemote));
}

TEST(BabelRoute, IgnoresUpdatesThatSayNothingUsable) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .interval_cs = 0});
    router.announce(*router.a, {.prefix = "fe80:1::/64"});
    router.announce(*router.a, {.prefix = "ff02::/16"});
    router.announce(*router.a, {.prefix = "::1/128"});
    router.announce(*router.a, {.prefix = "127.0.0.0/8"});
    router.announce(*router.a, {.prefix = "224.0.0.0/4"});
    router.retract(*router.a, "fd77::/48");  // of what we do not know
    EXPECT_TRUE(router.speaker->routes().empty());
    EXPECT_TRUE(router.changes.empty());
}

TEST(BabelRoute, WildcardRetractionTakesAllOfOneNeighbour) {  // section 4.6.9
    Two router;
    router.announce(*router.a, {.prefix = kRemote});
    router.announce(*router.a, {.prefix = "10.5.0.0/16"});
    router.announce(*router.b, {.prefix = "10.6.0.0/16"});
    router.send(*router.a, {Update{.interval_cs = 400}});
    EXPECT_FALSE(router.selected(kRemote));
    EXPECT_FALSE(router.selected("10.5.0.0/16"));
    EXPECT_TRUE(router.selected("10.6.0.0/16"));
}

TEST(BabelRoute, OwnAnnouncementComeBackIsARetraction) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote});
    ASSERT_TRUE(router.selected(kRemote));
    router.send(*router.a, {Update{.prefix = prefix(kRemote),
                                   .interval_cs = 400,
                                   .seqno = 3,
                                   .metric = 1,
                                   .router_id = kOurId,
                                   .next_hop = router.a->address}});
    EXPECT_FALSE(router.selected(kRemote));
}

TEST(BabelRoute, OwnPrefixIsNeverRoutedElsewhere) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote});
    router.speaker->originate(prefix(kRemote), Scope::everywhere, router.now);
    router.collect();
    EXPECT_FALSE(router.selected(kRemote));
    EXPECT_EQ(router.state(kRemote), State::gone);
    router.run_for(100ms);
    EXPECT_EQ(router.update_of(kRemote, 2)->router_id, kOurId);
    EXPECT_EQ(router.update_of(kRemote, 2)->metric, 0);
    router.speaker->withdraw(prefix(kRemote), router.now);
    router.run_for(100ms);
    EXPECT_EQ(router.update_of(kRemote, 2)->router_id, id(1));  // what the neighbour has
    EXPECT_EQ(router.state(kRemote), State::reachable);
}

TEST(BabelRoute, GoesViaIpv6WhereThereIsNoIpv4) {  // RFC 9229
    Router router;
    router.lan(1, [](InterfaceOptions& options) { options.ipv4.reset(); });
    router.lan(2);
    auto& a = router.neighbor(1, 1);
    router.neighbor(2, 2);
    router.send(a, {Update{.prefix = prefix("10.5.0.0/16"),
                           .interval_cs = 400,
                           .seqno = 1,
                           .metric = 0,
                           .router_id = id(1),
                           .next_hop = a.address}});
    EXPECT_EQ(router.changes.back().next_hop, a.address);
    router.run_for(100ms);
    EXPECT_EQ(router.update_of("10.5.0.0/16", 2)->next_hop, address("192.0.2.1"));
    router.speaker->originate(prefix("10.9.0.0/16"), Scope::everywhere, router.now);
    router.run_for(100ms);
    EXPECT_EQ(router.update_of("10.9.0.0/16", 1)->next_hop, Router::ours(1));
}

// ---- feasibility (section 3.5.1) and the source table ----

TEST(BabelFeasibility, ComparesWithWhatWasAnnouncedNotWithWhatItCosts) {
    SourceTable sources;
    const Source source{prefix(kRemote), id(1)};
    const Time now{};
    EXPECT_TRUE(sources.feasible(source, 5, 1000));  // nothing known
    sources.announced(source, 5, 100, now);
    EXPECT_TRUE(sources.feasible(source, 5, 99));
    EXPECT_FALSE(sources.feasible(source, 5, 100));
    EXPECT_FALSE(sources.feasible(source, 5, 101));
    EXPECT_FALSE(sources.feasible(source, 4, 1));
    EXPECT_TRUE(sources.feasible(source, 6, 60000));
    EXPECT_TRUE(sources.feasible(source, 4, kInfinity));               // a retraction always is
    EXPECT_TRUE(sources.feasible({prefix(kRemote), id(2)}, 1, 5000));  // another source
}

TEST(BabelFeasibility, DistanceOnlyImprovesWithinASeqno) {  // section 3.7.3
    SourceTable sources;
    const Source source{prefix(kRemote), id(1)};
    sources.announced(source, 5, 100, {});
    sources.announced(source, 5, 300, {});
    EXPECT_EQ(sources.find(source)->metric, 100);
    sources.announced(source, 5, 80, {});
    EXPECT_EQ(sources.find(source)->metric, 80);
    sources.announced(source, 4, 1, {});
    EXPECT_EQ(sources.find(source)->metric, 80);
    sources.announced(source, 6, 500, {});
    EXPECT_EQ(sources.find(source)->metric, 500);
    EXPECT_EQ(sources.find(source)->seqno, 6);
    sources.announced(source, 65535, 1, {});
    EXPECT_EQ(sources.find(source)->seqno, 6);  // older, modulo
}

TEST(BabelFeasibility, SourcesAreCollectedThreeMinutesAfterTheyWereLastAnnounced) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote});
    router.run_for(100ms);
    EXPECT_EQ(router.speaker->nb_sources(), 1U);
    router.retract(*router.a, kRemote);
    router.run_for(179s);
    EXPECT_EQ(router.speaker->nb_sources(), 1U);
    router.run_for(3s);
    EXPECT_EQ(router.speaker->nb_sources(), 0U);
}

TEST(BabelFeasibility, UnfeasibleRouteIsNotUsedAndASeqnoIsAskedFor) {  // section 3.8.2.2
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .metric = 100});
    router.run_for(100ms);  // announced with 196: that is the distance now
    router.take();
    router.announce(*router.b, {.prefix = kRemote, .metric = 196});
    router.retract(*router.a, kRemote);
    EXPECT_FALSE(router.selected(kRemote));
    const auto routes = router.speaker->routes(prefix(kRemote));
    EXPECT_TRUE(std::any_of(routes.begin(), routes.end(), [](const RouteView& route) {
        return route.via.interface == 2 && !route.feasible;
    }));
    router.run_for(100ms);
    const auto requests = router.take_all<SeqnoRequest>();
    ASSERT_FALSE(requests.empty());
    EXPECT_EQ(requests[0].seqno, 11);
    EXPECT_EQ(requests[0].router_id, id(1));
    EXPECT_GE(requests[0].hop_count, 64);
    router.announce(*router.b, {.prefix = kRemote, .seqno = 11, .metric = 196});
    EXPECT_TRUE(router.selected(kRemote));
}

TEST(BabelFeasibility, ACostThatRisesHereDoesNotMakeTheRouteUnfeasible) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .metric = 100});
    router.run_for(100ms);
    router.a->rxcost = 900;
    router.run_for(2s);
    ASSERT_TRUE(router.selected(kRemote));
    EXPECT_EQ(router.selected(kRemote)->metric, 1000);
}

TEST(BabelFeasibility, SelectedRouteThatBecameUnfeasibleIsKeptWhileASeqnoIsAskedFor) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .metric = 100});
    router.run_for(100ms);
    router.take();
    router.announce(*router.a, {.prefix = kRemote, .metric = 196});
    EXPECT_TRUE(router.selected(kRemote));
    router.run_for(100ms);
    const auto sent = router.take();
    EXPECT_TRUE(std::any_of(sent.begin(), sent.end(), [&](const Router::Sent& one) {
        const auto* request = std::get_if<SeqnoRequest>(&one.tlv);
        return request && request->seqno == 11 && one.destination == router.a->address;
    }));
    // Not refreshed by what was ignored.
    for (int i = 0; i < 4; ++i) {
        router.announce(*router.a, {.prefix = kRemote, .metric = 196});
        router.run_for(4s);
    }
    EXPECT_FALSE(router.selected(kRemote));
}

TEST(BabelFeasibility, OtherRouterIdIsJudgedByItsOwnSource) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .metric = 10});
    router.run_for(100ms);
    router.announce(*router.b, {.prefix = kRemote, .router = 2, .metric = 5000});
    router.retract(*router.a, kRemote);
    EXPECT_EQ(router.selected(kRemote)->router_id, id(2));
}

// ---- requests (section 3.8) ----

TEST(BabelRequest, SpecificOneIsAnsweredWithTheRouteOrARetraction) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote});
    router.run_for(100ms);
    router.take();
    router.send(*router.b, {RouteRequest{prefix(kRemote)}});
    router.send(*router.b, {RouteRequest{prefix("fd99::/48")}});
    router.run_for(100ms);
    EXPECT_EQ(router.update_of(kRemote, 2)->metric, 96);
    EXPECT_EQ(router.update_of("fd99::/48", 2)->metric, kInfinity);
}

TEST(BabelRequest, WildcardIsAnsweredWithTheWholeTableAndLimited) {
    Two router;
    for (uint32_t i = 0; i < 300; ++i)
        router.announce(*router.a, {.prefix = to_string(node_prefix(i)).c_str()});
    router.run_for(1s);
    const auto nb_updates = [&](Duration duration) {
        router.take();
        router.run_for(duration);
        const auto updates = router.take();
        return std::count_if(updates.begin(), updates.end(), [](const Router::Sent& one) {
            return one.interface == 2 && std::holds_alternative<Update>(one.tlv);
        });
    };
    (void)nb_updates(500ms);
    router.send(*router.b, {RouteRequest{}});
    EXPECT_EQ(nb_updates(900ms), 300);
    for (int i = 0; i < 50; ++i)
        router.send(*router.b, {RouteRequest{}});
    EXPECT_LE(nb_updates(2s), 900);  // not fifty times
}

TEST(BabelRequest, SeqnoOfOursIsRaisedByOneAtMost) {  // section 3.8.1.2
    Two router;
    router.speaker->originate(prefix("fd0a::/48"), Scope::everywhere, router.now);
    router.run_for(100ms);
    const uint16_t before = router.speaker->seqno();
    const auto request = [&](int ahead, const RouterId& router_id) {
        router.take();
        router.send(*router.a, {SeqnoRequest{.prefix = prefix("fd0a::/48"),
                                             .seqno = static_cast<uint16_t>(before + ahead),
                                             .hop_count = 5,
                                             .router_id = router_id}});
        router.run_for(100ms);
    };
    request(0, kOurId);
    EXPECT_EQ(router.speaker->seqno(), before);
    EXPECT_TRUE(router.update_of("fd0a::/48", 1));  // answered all the same
    request(100, kOurId);
    EXPECT_EQ(router.speaker->seqno(), static_cast<uint16_t>(before + 1));
    EXPECT_EQ(router.update_of("fd0a::/48", 1)->seqno, static_cast<uint16_t>(before + 1));
    request(5, id(3));  // of another source
    EXPECT_EQ(router.speaker->seqno(), static_cast<uint16_t>(before + 1));
    router.run_for(60s);
    EXPECT_EQ(router.speaker->seqno(), static_cast<uint16_t>(before + 1));  // never by itself
}

TEST(BabelRequest, SeqnoThatWeHaveIsAnsweredHere) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .seqno = 10});
    router.run_for(100ms);
    router.take();
    router.send(
        *router.b,
        {SeqnoRequest{.prefix = prefix(kRemote), .seqno = 10, .hop_count = 5, .router_id = id(1)}});
    router.run_for(100ms);
    EXPECT_TRUE(router.update_of(kRemote, 2));
    EXPECT_TRUE(router.take_all<SeqnoRequest>().empty());
}

struct Forwarding : Two {
    Forwarding() {
        announce(*a, {.prefix = kRemote, .seqno = 10});
        run_for(100ms);
        take();
    }
    void request(uint16_t seqno, uint8_t hop_count = 5) {
        send(*b, {SeqnoRequest{.prefix = prefix(kRemote),
                               .seqno = seqno,
                               .hop_count = hop_count,
                               .router_id = id(1)}});
        run_for(50ms);
    }
    std::vector<SeqnoRequest> forwarded() {
        std::vector<SeqnoRequest> result;
        for (const Sent& one : take()) {
            const auto* request = std::get_if<SeqnoRequest>(&one.tlv);
            if (request && one.destination == a->address)
                result.push_back(*request);
        }
        return result;
    }
};

TEST(BabelRequest, SeqnoRequestGoesOnToTheNextHopWithOneHopLess) {
    Forwarding router;
    router.request(11);
    const auto onward = router.forwarded();
    ASSERT_EQ(onward.size(), 1U);
    EXPECT_EQ(
        onward[0],
        (SeqnoRequest{.prefix = prefix(kRemote), .seqno = 11, .hop_count = 4, .router_id = id(1)}));
    // The answer goes back at once.
    router.announce(*router.a, {.prefix = kRemote, .seqno = 11});
    router.run_for(50ms);
    EXPECT_EQ(router.update_of(kRemote, 2)->seqno, 11);
}

TEST(BabelRequest, SeqnoRequestEndsWithItsHops) {
    Forwarding router;
    router.request(11, 1);
    EXPECT_TRUE(router.forwarded().empty());
}

TEST(BabelRequest, RedundantSeqnoRequestIsNotForwarded) {
    Forwarding router;
    router.request(12);
    EXPECT_EQ(router.forwarded().size(), 1U);
    router.request(12);
    router.request(11);
    EXPECT_TRUE(router.forwarded().empty());
    router.request(13);
    EXPECT_EQ(router.forwarded().size(), 1U);
    router.run_for(1100ms);
    router.request(13);  // asked again after a while: it may have been lost
    EXPECT_EQ(router.forwarded().size(), 1U);
}

TEST(BabelRequest, SeqnoRequestNeverGoesBack) {
    Forwarding router;
    router.send(
        *router.a,
        {SeqnoRequest{.prefix = prefix(kRemote), .seqno = 11, .hop_count = 9, .router_id = id(1)}});
    router.run_for(50ms);
    EXPECT_TRUE(router.take_all<SeqnoRequest>().empty());
}

TEST(BabelRequest, StarvedRouterAsksThreeTimesEverMoreSeldom) {  // section 3.8.2.1
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .metric = 100});
    router.run_for(100ms);
    router.take();
    router.retract(*router.a, kRemote);
    router.run_for(40s);
    std::vector<Time> times;
    for (const Router::Sent& one : router.take()) {
        if (std::holds_alternative<SeqnoRequest>(one.tlv) && one.interface == 2)
            times.push_back(one.at);
    }
    ASSERT_EQ(times.size(), 3U);
    EXPECT_GE(times[1] - times[0], 1900ms);
    EXPECT_LE(times[1] - times[0], 3100ms);
    EXPECT_GE(times[2] - times[1], 3900ms);
    EXPECT_LE(times[2] - times[1], 5100ms);
}

TEST(BabelRequest, StarvedRouterAsksWhoeverComesByTheRouteAtOnce) {
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .metric = 100});
    router.run_for(100ms);
    router.retract(*router.a, kRemote);
    router.run_for(3s);  // asked twice; the next time would be 4 s later
    router.take();
    const auto nb_asked = [&router] {
        const auto sent = router.take();
        return std::count_if(sent.begin(), sent.end(), [&router](const Router::Sent& one) {
            const auto* request = std::get_if<SeqnoRequest>(&one.tlv);
            return request && request->seqno == 11 && one.destination == router.b->address;
        });
    };
    router.announce(*router.b, {.prefix = kRemote, .metric = 196});
    router.run_for(200ms);
    EXPECT_EQ(nb_asked(), 1);
    for (int i = 0; i < 5; ++i)  // and not as often as it likes
        router.announce(*router.b, {.prefix = kRemote, .metric = 196});
    router.run_for(200ms);
    EXPECT_EQ(nb_asked(), 0);
    router.announce(*router.b, {.prefix = kRemote, .seqno = 11, .metric = 196});
    EXPECT_TRUE(router.selected(kRemote));
}

TEST(BabelRequest, NewNeighbourIsAskedForEverything) {
    Router router;
    router.lan(1);
    router.fakes.push_back(std::make_unique<Router::Fake>(
        Router::Fake{.interface = 1, .address = node_link_local(1)}));
    router.run_for(3s);
    const auto requests = router.take_all<RouteRequest>();
    EXPECT_GE(std::count(requests.begin(), requests.end(), RouteRequest{}), 2);  // and at start
}

// ---- updates (section 3.7) ----

TEST(BabelUpdate, IsPeriodic) {
    Two router;
    router.speaker->originate(prefix("fd0a::/48"), Scope::everywhere, router.now);
    router.run_for(1s);
    router.take();
    router.run_for(160s);
    const auto updates = router.take_all<Update>();
    EXPECT_GE(updates.size(), 2U * 10);
    EXPECT_LE(updates.size(), 2U * 14);
    EXPECT_EQ(updates[0].interval_cs, 1600);
}

TEST(BabelUpdate, IsUrgentWhenTheRouteIsLostOrItsSourceChanges) {  // section 3.7.2
    Two router;
    router.announce(*router.a, {.prefix = kRemote});
    router.run_for(200ms);
    ASSERT_TRUE(router.update_of(kRemote, 2));
    router.take();
    router.announce(*router.a, {.prefix = kRemote, .router = 3});
    router.run_for(200ms);
    EXPECT_EQ(router.update_of(kRemote, 2)->router_id, id(3));
    router.take();
    router.retract(*router.a, kRemote);
    router.run_for(200ms);
    EXPECT_EQ(router.update_of(kRemote, 2)->metric, kInfinity);
}

TEST(BabelUpdate, UrgentOneIsRepeatedUntilAcknowledged) {
    Two router;
    router.b->acknowledges = false;
    router.announce(*router.a, {.prefix = kRemote, .interval_cs = 60000});
    const auto nb_sent = [&router] {
        const auto sent = router.take();
        return std::count_if(sent.begin(), sent.end(), [](const Router::Sent& one) {
            return one.interface == 2 && std::holds_alternative<Update>(one.tlv);
        });
    };
    router.run_for(3s);
    EXPECT_EQ(nb_sent(), 4);
    router.b->acknowledges = true;
    router.announce(*router.a, {.prefix = kRemote, .router = 3, .interval_cs = 60000});
    router.run_for(3s);
    EXPECT_EQ(nb_sent(), 1);
}

TEST(BabelUpdate, DoesNotGoBackWhereTheRouteCameFrom) {  // split horizon, section 3.7.4
    Two router;
    router.announce(*router.a, {.prefix = kRemote, .interval_cs = 60000});
    router.run_for(60s);
    const auto update = router.update_of(kRemote, 1);
    EXPECT_TRUE(!update || update->metric == kInfinity);
    router.take();
    // Moved there, what was told before is taken back.
    router.announce(*router.b, {.prefix = kRemote, .seqno = 11, .interval_cs = 60000});
    router.announce(*router.a,
                    {.prefix = kRemote, .seqno = 11, .metric = 500, .interval_cs = 60000});
    router.run_for(100ms);
    EXPECT_EQ(router.selected(kRemote)->via.interface, 2U);
    EXPECT_EQ(router.update_of(kRemote, 2)->metric, kInfinity);
    EXPECT_EQ(router.update_of(kRemote, 1)->metric, 96);
}

TEST(BabelUpdate, FitsItsPackets) {
    Two router;
    for (uint32_t i = 0; i < 400; ++i)
        router.speaker->originate(node_prefix(i), Scope::everywhere, router.now);
    router.run_for(2s);
    std::set<Prefix> seen;
    for (const Update& update : router.take_all<Update>())
        seen.insert(*update.prefix);
    EXPECT_EQ(seen.size(), 400U);
    for (const Outgoing& packet : router.packets)
        EXPECT_LE(packet.bytes.size(), 1232U);
}

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
