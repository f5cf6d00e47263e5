// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/clients/client_roaming.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {

namespace {

using namespace std::chrono_literals;

ClientTimestamp at(uint8_t time) {
    ClientTimestamp timestamp{0x40};
    timestamp[7] = time;
    return timestamp;
}

PublicKey key_of(unsigned number) {
    PublicKey key;
    key.bytes[0] = static_cast<uint8_t>(number >> 8);
    key.bytes[1] = static_cast<uint8_t>(number);
    return key;
}

struct FixedWays final : RouteLookup {
    std::optional<NextHop> next_hop_to(const IpAddress& target) const override {
        const auto found = next_hops.find(target);
        return found == next_hops.end() ? std::nullopt : std::optional{NextHop{1, found->second}};
    }
    std::map<IpAddress, IpAddress> next_hops;
};

const PublicKey kAlice = key_of(1);
const PublicKey kTied = key_of(2);  // may connect at box 1 alone

// Boxes 1..n in a line; box i is neighbour to i - 1 and i + 1.
class Line {
public:
    explicit Line(unsigned nb_boxes, unsigned nb_clients = 2) {
        for (unsigned i = 1; i <= nb_boxes; ++i)
            members.push_back(node(i));
        for (unsigned i = 1; i <= nb_clients; ++i)
            rules.push_back({key_of(i), {}});
        rules.at(1).boxes = {node(1)};
        for (unsigned i = 1; i <= nb_boxes; ++i) {
            routes.push_back(std::make_unique<FixedWays>());
            for (unsigned to = 1; to <= nb_boxes; ++to) {
                if (to != i)
                    routes.back()->next_hops[node(to)] = node(to < i ? i - 1 : i + 1);
            }
            boxes.push_back(std::make_unique<ClientRoaming>(node(i), *routes.back()));
            boxes.back()->set_network(rules, members, now);
        }
        for (unsigned i = 1; i < nb_boxes; ++i)
            join(i, i + 1);
    }
    ClientRoaming& box(unsigned number) { return *boxes.at(number - 1); }
    void join(unsigned a, unsigned b) {
        box(a).add_neighbor(node(b), now);
        box(b).add_neighbor(node(a), now);
    }
    void part(unsigned a, unsigned b) {
        box(a).remove_neighbor(node(b));
        box(b).remove_neighbor(node(a));
    }
    void run(Time::duration duration) {
        const Time end = now + duration;
        while (now < end) {
            now += 50ms;
            for (unsigned i = 1; i <= boxes.size(); ++i) {
                if (box(i).next_deadline() <= now)
                    box(i).tick(now);
                EXPECT_GT(box(i).next_deadline(), now);
                for (const Outgoing& one : box(i).take_messages(now)) {
                    ++nb_messages;
                    EXPECT_LE(encode(one.message).size(), kMaxMessageLen);
                    box(one.to.bytes[15]).receive(node(i), std::get<ClientAt>(one.message), now);
                }
            }
        }
    }
    void expect_everywhere(const PublicKey& key, std::optional<IpAddress> where) {
        for (unsigned i = 1; i <= boxes.size(); ++i)
            EXPECT_EQ(box(i).box_of(key), where) << "at box " << i;
    }

    Time now = Time{} + 1h;
    size_t nb_messages = 0;
    std::vector<IpAddress> members;
    std::vector<ClientRule> rules;
    std::vector<std::unique_ptr<FixedWays>> routes;
    std::vector<std::unique_ptr<ClientRoaming>> boxes;
};

ClientAt say(const PublicKey& key, const IpAddress& box, uint8_t time, bool gone = false) {
    return {{{.key = key, .box = box, .timestamp = at(time), .gone = gone}}};
}

}  // namespace

TEST(MeshClients, AreFoundEverywhereAtOnce) {
    Line line{4};
    line.box(1).here(kAlice, at(1), line.now);
    line.run(200ms);
    line.expect_everywhere(kAlice, node(1));
    EXPECT_EQ(line.box(4).take_changes(), (std::vector<ClientChange>{{kAlice, node(1)}}));
}

TEST(MeshClients, TheLatestHandshakeWins) {
    Line line{4};
    line.box(1).here(kAlice, at(1), line.now);
    line.box(4).here(kAlice, at(2), line.now);
    line.run(300ms);
    line.expect_everywhere(kAlice, node(4));
    line.box(4).here(kAlice, at(1), line.now);  // an older one changes nothing
    line.box(2).here(kAlice, at(3), line.now);
    line.run(300ms);
    line.expect_everywhere(kAlice, node(2));
    line.box(2).gone(kAlice, line.now);
    line.run(2s);
    line.expect_everywhere(kAlice, node(4));
}

TEST(MeshClients, GoneIsGoneEverywhere) {
    Line line{3};
    line.box(1).here(kAlice, at(1), line.now);
    line.run(1s);
    line.box(1).gone(kAlice, line.now);
    line.run(1s);
    line.expect_everywhere(kAlice, std::nullopt);
    line.box(1).here(kAlice, at(1), line.now);  // the same session, after all
    line.run(1s);
    line.expect_everywhere(kAlice, node(1));
}

TEST(MeshClients, StayAsLongAsTheirBoxSaysSo) {
    Line line{4};
    line.box(1).here(kAlice, at(1), line.now);
    line.run(1000s);
    line.expect_everywhere(kAlice, node(1));
    EXPECT_EQ(line.box(4).take_changes().size(), 1U) << "refreshes change nothing";
    line.nb_messages = 0;
    line.run(600s);
    EXPECT_LE(line.nb_messages, 3 * 11U) << "each link once a minute";
    // The box dies. Who passed it on makes it no younger.
    line.part(1, 2);
    line.run(kClientLifetime - 65s);
    EXPECT_EQ(line.box(4).box_of(kAlice), node(1));
    line.run(10s);
    for (int i = 0; i < 60; ++i) {
        line.join(2, 3);
        line.join(3, 4);
        line.run(1s);
    }
    EXPECT_EQ(line.box(2).box_of(kAlice), std::nullopt);
    EXPECT_EQ(line.box(4).box_of(kAlice), std::nullopt);
    EXPECT_EQ(line.box(4).nb_claims(), 0U);
}

TEST(MeshClients, WhatIsToldLateIsForgottenInTime) {
    Line line{4};
    line.part(3, 4);
    line.box(1).here(kAlice, at(1), line.now);
    line.run(30s);
    line.part(1, 2);  // dies
    line.run(130s);
    line.join(3, 4);
    line.run(1s);
    EXPECT_EQ(line.box(4).box_of(kAlice), node(1));
    line.run(20s);
    EXPECT_EQ(line.box(4).box_of(kAlice), std::nullopt);
}

TEST(MeshClients, WhatIsOldOrKnownChangesNothing) {
    Line line{3};
    line.box(2).receive(node(3), say(kAlice, node(3), 9), line.now);
    line.run(1s);
    line.nb_messages = 0;
    line.box(2).receive(node(3), say(kAlice, node(3), 9), line.now);
    line.box(2).receive(node(3), say(kAlice, node(3), 8, true), line.now);
    line.run(1s);
    EXPECT_EQ(line.box(2).box_of(kAlice), node(3));
    EXPECT_EQ(line.nb_messages, 0U) << "and is not passed on";
}

TEST(MeshClients, ANewNeighbourIsToldEverythingLittleByLittle) {
    constexpr unsigned kMany = 10'000;
    Line line{3, kMany};
    line.part(1, 2);
    for (unsigned i = 1; i <= kMany; ++i)
        line.box(1).here(key_of(i), at(1), line.now);
    line.run(1s);
    EXPECT_EQ(line.box(2).nb_claims(), 0U);
    line.join(1, 2);
    line.nb_messages = 0;
    line.run(50ms);
    EXPECT_LE(line.nb_messages, 100U);
    line.run(3s);
    EXPECT_EQ(line.box(3).nb_claims(), kMany);
}

TEST(MeshClients, OnlyWhereTheyMayConnect) {
    Line line{3};
    line.box(2).here(kTied, at(1), line.now);
    line.box(3).receive(node(2), say(kTied, node(2), 9), line.now);
    line.box(3).receive(node(2), say(key_of(77), node(2), 9), line.now);
    line.run(1s);
    line.expect_everywhere(kTied, std::nullopt);
    EXPECT_EQ(line.box(3).counter(ClientCounter::box_not_allowed), 1U);
    EXPECT_EQ(line.box(3).counter(ClientCounter::unknown_client), 1U);
    line.box(1).here(kTied, at(1), line.now);
    line.run(1s);
    line.expect_everywhere(kTied, node(1));
}

// Box 4 at the end of the line lies about where Alice is.
TEST(MeshClients, NobodySpeaksForABoxThatIsNotBehindHim) {
    Line line{4};
    line.box(2).here(kAlice, at(1), line.now);
    line.run(1s);
    line.box(3).receive(node(4), say(kAlice, node(1), 9), line.now);
    line.box(3).receive(node(4), say(kAlice, node(2), 9, true), line.now);
    line.box(3).receive(node(4), say(kAlice, node(3), 9), line.now);
    line.box(3).receive(node(1), say(kAlice, node(1), 9), line.now);  // no neighbour
    line.run(1s);
    line.expect_everywhere(kAlice, node(2));
    EXPECT_EQ(line.box(3).counter(ClientCounter::not_by_its_way), 3U);
    EXPECT_EQ(line.box(3).counter(ClientCounter::from_strangers), 1U);
    line.box(3).receive(node(4), say(kAlice, node(4), 9), line.now);  // of itself it may
    line.run(1s);
    EXPECT_EQ(line.box(1).box_of(kAlice), node(4));
}

TEST(MeshClients, AFloodIsBoundedAndEndsWhereItBegins) {
    Line line{3};
    const size_t before = line.nb_messages;
    for (unsigned i = 0; i < 100'000; ++i)
        line.box(2).receive(node(3), say(key_of(i + 3), node(3), 1), line.now);
    EXPECT_GT(line.box(2).counter(ClientCounter::over_rate), 50'000U);
    EXPECT_EQ(line.box(2).nb_claims(), 0U);
    line.run(100ms);
    EXPECT_EQ(line.nb_messages, before);
}

TEST(MeshClients, OfOneClientFourPlacesAreKept) {
    Line line{9};
    for (uint8_t i = 2; i <= 9; ++i) {
        line.box(1).receive(node(2), say(kAlice, node(i), static_cast<uint8_t>(10 + i)), line.now);
        EXPECT_LE(line.box(1).nb_claims(), 4U);
    }
    EXPECT_EQ(line.box(1).box_of(kAlice), node(9));
    line.box(1).receive(node(2), say(kAlice, node(2), 1), line.now);
    EXPECT_EQ(line.box(1).box_of(kAlice), node(9));
    line.box(1).here(kAlice, at(99), line.now);
    for (uint8_t i = 2; i <= 9; ++i)
        line.box(1).receive(node(2), say(kAlice, node(i), static_cast<uint8_t>(50 + i)), line.now);
    EXPECT_EQ(line.box(1).box_of(kAlice), node(1)) << "our own is never pushed out";
    line.run(1s);
}

TEST(MeshClients, GoWithTheNetworkFile) {
    Line line{3};
    line.box(3).here(kAlice, at(1), line.now);
    line.run(1s);
    line.box(1).take_changes();
    line.box(1).set_network(line.rules, std::vector{node(1), node(2)}, line.now);
    EXPECT_EQ(line.box(1).box_of(kAlice), std::nullopt) << "its box is no member";
    EXPECT_EQ(line.box(1).take_changes(), (std::vector<ClientChange>{{kAlice, std::nullopt}}));
    line.box(2).set_network(std::vector<ClientRule>{{kTied, {}}}, line.members, line.now);
    EXPECT_EQ(line.box(2).nb_claims(), 0U);
    EXPECT_EQ(line.box(2).take_changes().back(), (ClientChange{kAlice, std::nullopt}));
    // Who learns of a client late hears of it soon.
    line.box(2).set_network(line.rules, line.members, line.now);
    line.box(3).set_network(line.rules, line.members, line.now);
    line.run(7s);
    EXPECT_EQ(line.box(2).box_of(kAlice), node(3));
}

}  // namespace meshgate::mesh::test
