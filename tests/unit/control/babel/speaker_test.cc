// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "control/babel/source_table.h"
#include "tests/unit/control/babel/fixture.h"

// The rules of RFC 8966, one by one: a speaker among neighbours that the test plays. Neighbours and
// routes; others have the rest: babel_requests_test.cc, babel_roles_test.cc.
namespace meshgate::babel::test {
namespace {

using State = RouteChange::State;
constexpr const char* kRemote = "fd05::/48";

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

}  // namespace
}  // namespace meshgate::babel::test
