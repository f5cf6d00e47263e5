// SPDX-License-Identifier: Apache-2.0
// What the mesh does when something happens to it, one scenario a test.
#include <gtest/gtest.h>

#include "tests/unit/world/world.h"

namespace meshgate::control::world {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

// Boxes with public addresses; the first `nb_relays` are relays.
class SquareTest : public testing::Test {
protected:
    static constexpr BoxId a = 0, b = 1, c = 2, d = 3;

    void make(unsigned nb_boxes, unsigned nb_relays) {
        for (unsigned i = 0; i < nb_boxes; ++i)
            world.add({.relay = i < nb_relays});
        begin();
    }
    void begin() {
        world.start();
        world.stream();
        world.run_for(15s);
        ASSERT_TRUE(world.silent_pairs(100ms).empty())
            << testing::PrintToString(world.silent_pairs(100ms)) << world.story();
    }
    // What is sent from now on, but for what is still under way.
    uint64_t lost_since(uint64_t from_ns, const std::function<bool(const Probe&)>& counts = {}) {
        return world.lost(from_ns, world.now_ns() - kSecondNs / 4, counts);
    }
    uint64_t nb_initiations() {
        uint64_t sum = 0;
        for (BoxId id = 0; id < world.nb_boxes(); ++id)
            sum += world.nb_initiations(id);
        return sum;
    }
    std::function<bool(const Probe&)> between(BoxId one, BoxId other) {
        return [=](const Probe& probe) {
            return (probe.from == one && probe.to == other) ||
                   (probe.from == other && probe.to == one);
        };
    }
    auto not_between(BoxId one, BoxId other) {
        return [pair = between(one, other)](const Probe& probe) { return !pair(probe); };
    }
    void expect_paths(BoxId one, BoxId other, const std::string& kind) {
        EXPECT_EQ(world.path(one, other).substr(0, kind.size()), kind) << world.story();
        EXPECT_EQ(world.path(other, one).substr(0, kind.size()), kind) << world.story();
    }

    World world{7};
};

TEST(World, TwoBoxesFindEachOtherAndTalk) {
    World world{1};
    world.add({.relay = true});
    world.add({});
    world.start();
    world.run_for(2s);
    EXPECT_EQ(world.path(0, 1), "direct") << world.story();
    world.stream();
    const uint64_t start = world.now_ns();
    world.run_for(5s);
    EXPECT_EQ(world.lost(start, world.now_ns() - kSecondNs / 4), 0U) << world.story();
    EXPECT_GT(world.probes().size(), 400U);
}

TEST_F(SquareTest, ASilentLinkIsReplacedWithinASecondAndReturnsWithoutLoss) {
    make(4, 2);
    expect_paths(c, d, "direct");
    const uint64_t before = nb_initiations();
    const uint64_t cut = world.now_ns();
    world.cut(c, d);
    world.run_for(5s);
    EXPECT_EQ(lost_since(cut, not_between(c, d)), 0U) << world.story();
    EXPECT_LE(world.outage(c, d, cut), 1s) << world.story();
    EXPECT_LE(world.outage(d, c, cut), 1s) << world.story();
    EXPECT_EQ(lost_since(cut + kSecondNs), 0U) << world.story();
    expect_paths(c, d, "relay");
    const uint64_t healed = world.now_ns();
    world.cut(c, d, false);
    world.run_for(30s);
    expect_paths(c, d, "direct");
    EXPECT_EQ(lost_since(healed), 0U) << world.story();
    EXPECT_EQ(nb_initiations(), before) << "a path moves without a handshake";
}

TEST_F(SquareTest, AKilledRelayIsReplaced) {
    make(4, 2);
    world.cut(c, d);
    world.run_for(10s);
    expect_paths(c, d, "relay");
    const BoxId first = world.path(c, d) == "relay a" ? a : b;
    const uint64_t killed = world.now_ns();
    world.kill(first);
    world.run_for(5s);
    EXPECT_LE(world.outage(c, d, killed), 1500ms) << world.story();
    EXPECT_LE(world.outage(d, c, killed), 1500ms) << world.story();
    EXPECT_EQ(lost_since(killed + 2 * kSecondNs, between(c, d)), 0U) << world.story();
    const uint64_t started = world.now_ns();
    world.start(first);
    world.run_for(20s);
    EXPECT_EQ(lost_since(started, between(c, d)), 0U) << world.story();
    EXPECT_TRUE(world.silent_pairs(100ms).empty()) << world.story();
}

TEST_F(SquareTest, ADrainedRelayLosesNothing) {
    make(4, 2);
    world.cut(c, d);
    world.run_for(10s);
    const BoxId first = world.path(c, d) == "relay a" ? a : b;
    const uint64_t drained = world.now_ns();
    world.drain(first);
    world.run_for(5s);
    EXPECT_EQ(lost_since(drained, between(c, d)), 0U) << world.story();
}

TEST_F(SquareTest, ALossyLinkLosesToACleanRelay) {
    make(4, 2);
    world.shape(c, d, [](Wire& wire) { wire.loss = 0.2; });
    world.run_for(30s);
    expect_paths(c, d, "relay");
    const uint64_t from = world.now_ns();
    world.run_for(30s);
    EXPECT_EQ(lost_since(from, between(c, d)), 0U) << world.story();
}

TEST_F(SquareTest, SmallLossAndJitterMoveNoPath) {
    make(4, 2);
    for (BoxId one = 0; one < 4; ++one) {
        for (BoxId other = one + 1; other < 4; ++other)
            world.shape(one, other, [](Wire& wire) { wire.jitter = 0.5; });
    }
    world.shape(c, d, [](Wire& wire) { wire.loss = 0.05; });
    world.run_for(5s);
    const size_t before = world.nb_path_changes();
    world.run_for(120s);
    EXPECT_LE(world.nb_path_changes() - before, 2U) << world.story();
}

// Two ways that are equally good, and seem better by turns.
TEST_F(SquareTest, EqualRelaysAreNotTakenByTurns) {
    make(4, 2);
    world.cut(c, d);
    for (const BoxId relay : {a, b}) {
        for (const BoxId leaf : {c, d})
            world.shape(relay, leaf, [](Wire& wire) {
                wire.delay = 30ms;
                wire.jitter = 0.5;
                wire.loss = 0.02;
            });
    }
    world.run_for(20s);
    const size_t before = world.nb_path_changes();
    world.run_for(120s);
    EXPECT_LE(world.nb_path_changes() - before, 4U) << world.story();
}

// What it announced before must not be preferred to what is there: it comes back without it.
TEST_F(SquareTest, ARelayComesBackWithoutTheWayThatItHad) {
    world.add({.relay = true});
    world.add({.relay = true});
    world.add({.relay = true});
    world.shape(a, b, [](Wire& wire) { wire.delay = 60ms; });
    begin();
    EXPECT_EQ(world.path(a, b), "relay c") << world.story();
    world.cut(a, b);
    world.run_for(10s);
    world.kill(c);
    world.cut(b, c);
    world.run_for(4s);
    world.cut(a, b, false);
    world.start(c);
    world.run_for(15s);
    EXPECT_EQ(world.path(c, b), "relay a") << world.story();
    EXPECT_TRUE(world.silent_pairs(1s).empty()) << world.story();
}

// Nobody introduces them, but one of them has an endpoint.
TEST_F(SquareTest, LeavesFindEachOtherWhenNoRelayIsThere) {
    world.add({.relay = true});
    world.add({});
    world.add({.uplinks = {{.nat = NatKind::restricted}}});
    world.cut(a, b);
    world.cut(a, c);
    world.start();
    world.stream();
    world.run_for(10s);
    EXPECT_EQ(world.path(b, c), "direct") << world.story();
    EXPECT_EQ(world.path(c, b), "direct") << world.story();
}

// A view of a way whose link has gone must not end the daemon.
TEST_F(SquareTest, ARelayIsRevokedWhileItIsUsed) {
    make(4, 2);
    world.cut(c, d);
    world.cut(c, b);
    world.run_for(10s);
    EXPECT_EQ(world.path(c, d), "relay a");
    world.box(a).entry.member = false;
    const auto file = world.sign();
    const uint64_t revoked = world.now_ns();
    world.give(c, file);
    EXPECT_EQ(world.path(c, d), "none") << world.story();
    world.give(d, file);
    world.run_for(5s);
    EXPECT_EQ(world.path(c, d), "none") << world.story();
    world.cut(c, b, false);
    world.run_for(15s);
    expect_paths(c, d, "relay b");
    const auto with_a = [](const Probe& probe) { return probe.from == a || probe.to == a; };
    for (const Probe& probe : world.probes())
        EXPECT_FALSE(with_a(probe) && probe.delivered_ns > revoked + 12 * kSecondNs);
}

}  // namespace
}  // namespace meshgate::control::world
