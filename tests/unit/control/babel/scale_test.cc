// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/control/babel/scale.h"

namespace meshgate::babel::test {
namespace {

using namespace std::chrono_literals;

// A thousand members are no thousand routes, and no more packets, for each of them.
TEST(BabelScale, ThousandMembersCostALeafLittleAndOutliveAHub) {
    ScaleWorld scale{{.nb_leaves = 1000, .nb_hubs = 4}};
    scale.run_for(20s);
    ASSERT_TRUE(scale.all_reach());
    EXPECT_LE(scale.max_routes_of_a_leaf(), 4U);  // the aggregate and the address of each hub
    scale.run_for(20s);
    const auto leaf = scale.measure(60s).leaf;
    RecordProperty("leaf_mean_kbit_s", std::to_string(leaf.mean_kbit_s));
    EXPECT_LE(leaf.max_kbit_s, 20);
    EXPECT_GT(leaf.mean_kbit_s, 1);  // they do probe
    const Duration recovery = scale.recovery_after_death_of(0, 20s);
    RecordProperty("recovery_s", std::to_string(std::chrono::duration<double>(recovery).count()));
    EXPECT_LE(recovery, 10s);
    EXPECT_GT(recovery, 0s);  // it was missed
    EXPECT_EQ(scale.world.nb_loops, 0U);
    scale.run_for(60s);
    EXPECT_TRUE(scale.all_reach());
}

// A leaf with two hubs of which the nearer is the better way. Loss and jitter at random are no
// reason to move, nor to call a link dead.
void expect_no_flap(double loss, double jitter, uint64_t seed) {
    SCOPED_TRACE(seed);
    World world{seed};
    for (uint32_t i = 0; i < 4; ++i)
        world.own(world.add_node(), node_prefix(i));
    const auto join = [&](uint32_t a, uint32_t b, std::chrono::milliseconds delay) {
        const auto fast = [](InterfaceOptions& options) { options.hello_interval = 200ms; };
        world.connect({.sides = {World::Side{.node = a, .adjust = fast},
                                 World::Side{.node = b, .adjust = fast}},
                       .delay = delay,
                       .jitter = jitter,
                       .loss = loss});
    };
    join(0, 1, 20ms);
    join(0, 2, 22ms);
    join(1, 3, 20ms);
    join(2, 3, 22ms);
    world.run_for(5min);
    for (World::Node& node : world.nodes)
        node.nb_route_changes = node.events[1] = 0;
    world.run_for(3h);
    for (const World::Node& node : world.nodes) {
        EXPECT_EQ(node.nb_route_changes, 0U);
        EXPECT_EQ(node.events[static_cast<size_t>(Event::Kind::neighbor_down)], 0U);
    }
    const auto view = world.nodes[0].speaker->neighbors().at(0);
    EXPECT_NEAR(view.loss, loss, 0.05);
    EXPECT_NEAR(view.rtt_p50_us, 40'000, 40'000 * jitter / 4 + 100);
    EXPECT_EQ(view.rtt_jitter_us > 2'000, jitter > 0);
}

TEST(BabelLinks, FivePercentLossNeverFlaps) {
    for (uint64_t seed = 1; seed <= 2; ++seed)
        expect_no_flap(0.05, 0, seed);
}

TEST(BabelLinks, FiftyPercentJitterNeverFlaps) {
    for (uint64_t seed = 1; seed <= 2; ++seed)
        expect_no_flap(0, 0.5, seed);
}

TEST(BabelLinks, BothTogetherNeverFlap) {
    for (uint64_t seed = 1; seed <= 2; ++seed)
        expect_no_flap(0.05, 0.5, seed);
}

struct Detour {
    // From 0 to 2: directly, or over the hub 1.
    Detour() {
        for (uint32_t i = 0; i < 3; ++i)
            world.own(world.add_node(), node_prefix(i));
        const auto side = [](uint32_t node, Announce announce) {
            return World::Side{
                .node = node, .announce = announce, .adjust = [](InterfaceOptions& options) {
                    options.hello_interval = 200ms;
                }};
        };
        const auto own = Announce::own_only;
        const auto all = Announce::everything;
        direct = world.connect({.sides = {side(0, own), side(2, own)}, .delay = 20ms});
        world.connect({.sides = {side(0, own), side(1, all)}, .delay = 15ms});
        world.connect({.sides = {side(1, all), side(2, own)}, .delay = 15ms});
        world.run_for(60s);
    }
    bool goes_direct() const { return world.way(0, node_prefix(2)).size() == 2; }
    // Until it goes that way; more than the limit when it never does.
    Duration until(bool direct_way, Duration limit) {
        const Time start = world.now;
        while (goes_direct() != direct_way && world.now - start < limit)
            world.run_for(10ms);
        return world.now - start;
    }

    World world{4};
    World::LinkIndex direct = 0;
};

TEST(BabelLinks, LossyDirectLinkLosesToACleanRelay) {
    Detour detour;
    ASSERT_TRUE(detour.goes_direct());
    detour.world.links[detour.direct].loss = 0.2;
    EXPECT_LT(detour.until(false, 120s), 60s);
    EXPECT_FALSE(detour.goes_direct());
    EXPECT_EQ(detour.world.nodes[0].events[static_cast<size_t>(Event::Kind::neighbor_down)], 0U);
    detour.world.links[detour.direct].loss = 0;
    EXPECT_GT(detour.until(true, 300s), 3s);  // not at the first good second
    EXPECT_TRUE(detour.goes_direct());
}

TEST(BabelLinks, SilentLossOfTheLinkInUseIsRepairedWithinASecond) {
    Detour detour;
    ASSERT_TRUE(detour.goes_direct());
    for (World::Side& side : detour.world.links[detour.direct].sides)
        side.up = false;
    EXPECT_LE(detour.until(false, 20s), 1s);
    EXPECT_TRUE(detour.world.reaches(0, node_prefix(2)));
    EXPECT_TRUE(detour.world.reaches(2, node_prefix(0)));
}

TEST(BabelLinks, LossOfOneDirectionIsRepairedOnBothSides) {
    Detour detour;
    detour.world.links[detour.direct].sides[0].up = false;
    EXPECT_LE(detour.until(false, 20s), 1s);
    detour.world.run_for(500ms);
    EXPECT_EQ(detour.world.way(2, node_prefix(0)).size(), 3U);
}

}  // namespace
}  // namespace meshgate::babel::test
