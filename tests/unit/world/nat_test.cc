// SPDX-License-Identifier: Apache-2.0
// Boxes behind NATs, with several uplinks, over several relays.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/world/world.h"

namespace meshgate::control::world {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

// When a relay introduces them: the one's probes must fit what the other's NAT lets in.
bool direct_is_possible(NatKind one, NatKind other) {
    const auto picky = [](NatKind kind) {
        return kind == NatKind::restricted || kind == NatKind::symmetric ||
               kind == NatKind::firewall;
    };
    return !((one == NatKind::symmetric && picky(other)) ||
             (other == NatKind::symmetric && picky(one)));
}

constexpr std::array kKinds{NatKind::none, NatKind::cone, NatKind::restricted, NatKind::symmetric,
                            NatKind::firewall};

TEST(WorldNat, AllPairsOfNats) {
    World world{3};
    world.add({.relay = true});
    for (int twice = 0; twice < 2; ++twice) {
        for (const NatKind kind : kKinds)
            world.add({.uplinks = {{.nat = kind}}});
    }
    world.start();
    world.stream(50ms);
    world.run_for(60s);
    for (BoxId one = 1; one < world.nb_boxes(); ++one) {
        for (BoxId other = 1; other < world.nb_boxes(); ++other) {
            if (one == other)
                continue;
            const NatKind kinds[] = {kKinds[(one - 1) % kKinds.size()],
                                     kKinds[(other - 1) % kKinds.size()]};
            EXPECT_EQ(world.path(one, other),
                      direct_is_possible(kinds[0], kinds[1]) ? "direct" : "relay a")
                << to_string(kinds[0]) << " to " << to_string(kinds[1]);
        }
    }
    const uint64_t from = world.now_ns();
    world.run_for(30s);
    EXPECT_EQ(world.lost(from, world.now_ns() - kSecondNs / 4), 0U) << world.story();
}

TEST(WorldNat, ANatThatForgetsIsPassedAgain) {
    World world{4};
    world.add({.relay = true});
    const BoxId c = world.add({.uplinks = {{.nat = NatKind::restricted}}});
    const BoxId d = world.add({.uplinks = {{.nat = NatKind::restricted}}});
    world.start();
    world.stream();
    ASSERT_TRUE(world.run_until([&] { return world.path(c, d) == "direct"; }, 30s));
    world.run_for(5s);
    world.note("the NAT of c restarts");
    world.underlay.uplinks[world.box(c).uplinks[0]].nat->restart();
    const uint64_t restarted = world.now_ns();
    world.run_for(10s);
    EXPECT_LE(world.outage(c, d, restarted), 2s) << world.story();
    EXPECT_LE(world.outage(d, c, restarted), 2s) << world.story();
    EXPECT_TRUE(world.run_until([&] { return world.path(c, d) == "direct"; }, 60s))
        << world.story();
}

TEST(WorldNat, TheMeteredUplinkComesLast) {
    World world{5};
    const BoxId a = world.add({.relay = true});
    const BoxId c = world.add({.uplinks = {{}, {.metered = true}}});
    const BoxId d = world.add({});
    world.start();
    world.stream();
    world.run_for(10s);
    const auto port = [&](BoxId to) { return world.path_view(c, to)->port; };
    EXPECT_EQ(port(d), "wan0");
    const auto set_cut = [&](size_t uplink, BoxId to, bool cut) {
        for (const UplinkId other : world.box(to).uplinks) {
            world.underlay.wire(world.box(c).uplinks[uplink], other).cut = cut;
            world.underlay.wire(other, world.box(c).uplinks[uplink]).cut = cut;
        }
    };
    set_cut(0, d, true);
    world.run_for(10s);
    EXPECT_EQ(world.path(c, d), "relay a") << world.story();
    EXPECT_EQ(port(d), "wan0");
    set_cut(0, a, true);
    uint64_t from = world.now_ns();
    world.run_for(10s);
    EXPECT_EQ(world.path(c, d), "direct") << world.story();
    EXPECT_EQ(port(d), "wan1");
    EXPECT_EQ(port(a), "wan1");
    EXPECT_LE(world.outage(c, d, from), 1500ms) << world.story();
    set_cut(0, a, false);
    set_cut(0, d, false);
    from = world.now_ns();
    world.run_for(60s);
    EXPECT_EQ(port(d), "wan0") << world.story();
    EXPECT_EQ(port(a), "wan0") << world.story();
    EXPECT_EQ(world.lost(from, world.now_ns() - kSecondNs / 4), 0U) << world.story();
}

// Idle links by the port that is dead look as good as they did.
TEST(WorldNat, OfTwoUplinksTheOneThatWorksIsUsed) {
    World world{6};
    world.add({.relay = true});
    const BoxId c = world.add({.uplinks = {{}, {}}});
    const BoxId d = world.add({.uplinks = {{}, {}}});
    world.start();
    world.stream();
    world.run_for(10s);
    for (const unsigned unplugged : {0U, 1U, 0U}) {
        Uplink& gone = world.underlay.uplinks[world.box(c).uplinks[unplugged]];
        gone.plugged = false;
        const uint64_t from = world.now_ns();
        world.run_for(5s);
        EXPECT_LE(world.outage(c, d, from), 1s) << world.story();
        EXPECT_LE(world.outage(d, c, from), 1s) << world.story();
        gone.plugged = true;
        world.run_for(20s);
    }
}

// Each reaches only its neighbours in the row: c - a - b - e - d, relays in between.
TEST(WorldNat, OverThreeRelaysInARow) {
    World world{8};
    std::array<BoxId, 5> row{};
    const BoxId a = world.add({.relay = true});
    const BoxId b = world.add({.relay = true});
    const BoxId e = world.add({.relay = true});
    const BoxId c = world.add({.uplinks = {{.nat = NatKind::symmetric}}});
    const BoxId d = world.add({.uplinks = {{.nat = NatKind::restricted}}});
    row = {c, a, b, e, d};
    for (size_t one = 0; one < row.size(); ++one) {
        for (size_t other = one + 2; other < row.size(); ++other)
            world.cut(row[one], row[other]);
    }
    world.start();
    world.stream();
    world.run_for(40s);
    const uint64_t from = world.now_ns();
    world.run_for(30s);
    EXPECT_EQ(world.lost(from, world.now_ns() - kSecondNs / 2), 0U)
        << testing::PrintToString(world.silent_pairs(1s)) << world.story();
    EXPECT_EQ(world.nb_circles, 0U);
    // The one in the middle starts anew, without its table.
    world.restart(b);
    world.run_for(10s);
    EXPECT_TRUE(world.silent_pairs(1s).empty())
        << testing::PrintToString(world.silent_pairs(1s)) << world.story();
    EXPECT_LE(world.outage(c, d, from), 8s) << world.story();
}

}  // namespace
}  // namespace meshgate::control::world
