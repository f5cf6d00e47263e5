// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "control/babel/source_table.h"
#include "tests/unit/control/babel/fixture.h"

// The rules of RFC 8966, one by one: a speaker among neighbours that the test plays. Feasibility,
// requests, updates.
namespace meshgate::babel::test {
namespace {

using State = RouteChange::State;
constexpr const char* kRemote = "fd05::/48";

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

}  // namespace
}  // namespace meshgate::babel::test
