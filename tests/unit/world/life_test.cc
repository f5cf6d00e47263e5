// SPDX-License-Identifier: Apache-2.0
// Boxes that start again, networks that fall apart and meet, files that change.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/world/world.h"

namespace meshgate::control::world {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

// Two relays; leaves, of whom the last is behind a NAT.
class LifeTest : public testing::Test {
protected:
    static constexpr BoxId a = 0, b = 1, c = 2, d = 3, e = 4;

    void SetUp() override {
        world.add({.relay = true});
        world.add({.relay = true});
        world.add({});
        world.add({});
        world.add({.uplinks = {{.nat = NatKind::restricted}}});
        world.start();
        world.stream();
        world.run_for(15s);
        ASSERT_TRUE(world.silent_pairs(100ms).empty()) << world.story();
    }
    bool all_have_the_file(const std::vector<BoxId>& boxes) {
        return std::ranges::all_of(
            boxes, [this](BoxId id) { return world.version_at(id) == world.version(); });
    }
    uint64_t lost_since(uint64_t from_ns,
                        const std::function<bool(const Probe&)>& counts = {}) const {
        return world.lost(from_ns, world.now_ns() - kSecondNs / 4, counts);
    }

    World world{21};
};

TEST_F(LifeTest, WhoeverRestartsIsBackAtOnceAndDisturbsNobody) {
    for (const BoxId which : {a, c, e}) {
        const uint64_t from = world.now_ns();
        world.restart(which);
        world.run_for(20s);
        const auto of_others = [=](const Probe& probe) {
            return probe.from != which && probe.to != which;
        };
        EXPECT_EQ(lost_since(from, of_others), 0U) << world.story();
        EXPECT_TRUE(world.silent_pairs(1s).empty()) << world.story();
        for (BoxId other = a; other <= e; ++other) {
            if (other == which)
                continue;
            EXPECT_LE(world.outage(which, other, from), 6s) << world.story();
            EXPECT_LE(world.outage(other, which, from), 6s) << world.story();
        }
    }
}

TEST_F(LifeTest, PartsThatMeetAgainAreOneNetwork) {
    for (const BoxId one : {a, c}) {
        for (const BoxId other : {b, d, e})
            world.cut(one, other);
    }
    world.run_for(30s);
    const auto across = [](const Probe& probe) {
        const bool from = probe.from == a || probe.from == c;
        const bool to = probe.to == a || probe.to == c;
        return from != to;
    };
    // What each part says within stays whole, and the file of one part reaches the other later.
    const uint64_t parted = world.now_ns();
    world.box(d).entry.prefixes.push_back("10.77.0.0/16");
    world.give(b, world.sign());
    world.run_for(10s);
    EXPECT_TRUE(all_have_the_file({b, d, e}));
    EXPECT_FALSE(all_have_the_file({a}));
    EXPECT_EQ(lost_since(parted, [&](const Probe& probe) { return !across(probe); }), 0U)
        << world.story();
    world.underlay.heal();
    world.note("heal everything");
    EXPECT_TRUE(world.run_until(
        [this] {
            return all_have_the_file({a, b, c, d, e});
        },
        25s))
        << world.story();
    world.run_for(15s);
    const uint64_t met = world.now_ns();
    world.run_for(10s);
    EXPECT_EQ(lost_since(met), 0U) << world.story();
}

TEST_F(LifeTest, WhoIsRevokedIsCutOffEverywhere) {
    const uint64_t revoked = world.now_ns();
    world.box(c).entry.member = false;
    world.give(b, world.sign());
    EXPECT_TRUE(world.run_until(
        [this] {
            return all_have_the_file({a, b, d, e});
        },
        2s))
        << world.story();
    world.run_for(20s);
    const auto with_c = [](const Probe& probe) { return probe.from == c || probe.to == c; };
    for (const Probe& probe : world.probes()) {
        EXPECT_FALSE(with_c(probe) && probe.delivered_ns > revoked + 2 * kSecondNs)
            << world.story();
    }
    EXPECT_EQ(lost_since(revoked, [&](const Probe& probe) { return !with_c(probe); }), 0U)
        << world.story();
    for (const BoxId other : {a, b, d, e}) {
        EXPECT_FALSE(world.path_view(other, c).has_value());
        EXPECT_FALSE(
            world.box(other).gateway->device().find_peer(world.box(c).model.node.public_key));
    }
    // And comes back as if nothing had been.
    world.box(c).entry.member = true;
    const auto file = world.sign();
    world.give(a, file);
    world.give(c, file);
    world.run_for(15s);
    EXPECT_TRUE(world.silent_pairs(1s).empty()) << world.story();
}

TEST_F(LifeTest, APrefixMovesFromBoxToBox) {
    world.box(d).entry.prefixes = {"10.3.0.0/17", "10.4.0.0/16"};  // was half of c's
    world.box(c).entry.prefixes = {"10.3.128.0/17"};
    const uint64_t moved = world.now_ns();
    world.give(a, world.sign());
    EXPECT_TRUE(world.run_until([this] { return all_have_the_file({a, b, c, d, e}); }, 2s));
    world.run_for(5s);
    const auto others = [](const Probe& probe) {
        return probe.from != c && probe.to != c && probe.from != d && probe.to != d;
    };
    EXPECT_EQ(lost_since(moved, others), 0U) << world.story();
    for (const BoxId box : {a, b, e}) {
        const Snapshot& snapshot = world.box(box).path->snapshot();
        const auto peer_of = [&](const char* address) {
            return snapshot.entries[snapshot.fib->lookup(*parse_address(address))].peer;
        };
        const auto& device = world.box(box).gateway->device();
        EXPECT_EQ(peer_of("10.3.1.1"), device.find_peer(world.box(d).model.node.public_key));
        EXPECT_EQ(peer_of("10.3.200.1"), device.find_peer(world.box(c).model.node.public_key));
    }
}

// Sessions are renewed and relay entries refreshed, and nobody notices.
TEST_F(LifeTest, ARelayedPathLastsForTenMinutes) {
    world.cut(c, d);
    world.run_for(10s);
    EXPECT_EQ(world.path(c, d).substr(0, 5), "relay");
    const uint64_t from = world.now_ns();
    world.run_for(600s);
    const auto relayed = [](const Probe& probe) {
        return (probe.from == c && probe.to == d) || (probe.from == d && probe.to == c);
    };
    EXPECT_EQ(lost_since(from, relayed), 0U) << world.story();
    EXPECT_LE(world.box(a).path->relays.size() + world.box(b).path->relays.size(), 40U);
}

// Without users there is little to say: each 2 s by each link, and the file every 10 s.
TEST_F(LifeTest, IdleBoxesSayLittleAndKeepLittle) {
    world.stop_streams();
    world.run_for(200s);  // until no session of theirs may send any more
    world.run_for(90s);
    std::vector<uint64_t> before;
    for (BoxId id = 0; id < world.nb_boxes(); ++id)
        before.push_back(world.control_bytes(id));
    world.run_for(60s);
    for (BoxId id = 0; id < world.nb_boxes(); ++id) {
        const uint64_t rate = (world.control_bytes(id) - before[id]) / 60;
        EXPECT_LE(rate, 300U * (world.nb_boxes() - 1)) << world.box(id).name;
    }
    // Leaves have no sessions with each other any more, and none grow old.
    EXPECT_EQ(world.path_view(c, d)->session, SessionState::none) << world.story();
    const size_t nb_mbufs = fake_mbufs_in_use();
    EXPECT_LE(nb_mbufs, 64U);
}

}  // namespace
}  // namespace meshgate::control::world
