// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/control/babel/world.h"

namespace meshgate::babel::test {
namespace {

using namespace std::chrono_literals;

// No hysteresis and constant costs, so that the best way is the one of the naive model.
void exact(SpeakerOptions& options) {
    options.switch_margin = 0;
    options.smoothing_half_life = Duration{};
}

void constant_cost(InterfaceOptions& options) {
    options.cost.per_loss = 0;
    options.cost.max_rtt_penalty = 0;
    options.hello_interval = 200ms;
    options.update_interval = 5s;
}

struct RandomWorld {
    RandomWorld(uint64_t seed, uint32_t nb_nodes) : random{seed}, world{seed} {
        for (uint32_t i = 0; i < nb_nodes; ++i)
            world.own(world.add_node(exact), node_prefix(i));
        for (uint32_t i = 1; i < nb_nodes; ++i)  // connected
            join(i, pick(i));
        for (uint32_t i = 0; i < nb_nodes; ++i)  // with other ways
            join(pick(nb_nodes), pick(nb_nodes));
    }

    uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random() % below); }

    void join(uint32_t a, uint32_t b) {
        if (a == b)
            return;
        const auto side = [this](uint32_t node) {
            return World::Side{.node = node,
                               .base_cost = static_cast<uint16_t>(16 + pick(400)),
                               .adjust = constant_cost};
        };
        world.connect(
            {.sides = {side(a), side(b)}, .delay = std::chrono::milliseconds{1 + pick(80)}});
    }

    // One thing goes wrong, or right again.
    void disturb() {
        const uint32_t link = pick(static_cast<uint32_t>(world.links.size()));
        World::Link& chosen = world.links[link];
        switch (pick(5)) {
            case 0:
                chosen.sides[0].up = chosen.sides[1].up = false;
                break;
            case 1:
                chosen.sides[pick(2)].up = false;  // one direction
                break;
            case 2:
                chosen.loss = 0.3;
                break;
            case 3:
                world.set_base_cost(link, pick(2), static_cast<uint16_t>(16 + pick(400)));
                break;
            default:
                chosen.sides[0].up = chosen.sides[1].up = true;
                chosen.loss = 0;
        }
    }

    void heal() {
        for (World::Link& link : world.links)
            link.loss = 0;
    }

    // Every node's metric for every other is the naive one; what is not connected has no route.
    void expect_shortest() {
        for (uint32_t from = 0; from < world.nodes.size(); ++from) {
            for (uint32_t to = 0; to < world.nodes.size(); ++to) {
                if (from == to)
                    continue;
                const auto naive = world.naive_distance(from, to);
                const auto ours = world.metric(from, node_prefix(to));
                ASSERT_EQ(ours.has_value(), naive.has_value()) << from << " to " << to;
                if (naive) {
                    ASSERT_EQ(*ours, *naive) << from << " to " << to;
                }
                ASSERT_EQ(world.reaches(from, node_prefix(to)), naive.has_value())
                    << from << " to " << to;
            }
        }
    }

    std::mt19937_64 random;
    World world;
};

TEST(BabelWorld, FindsTheShortestWays) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
        RandomWorld random{seed, 12};
        random.world.run_for(60s);
        SCOPED_TRACE(seed);
        random.expect_shortest();
        EXPECT_EQ(random.world.nb_loops, 0U);
    }
}

// Checked at every change of any route, whatever fails, is lost or gets another cost meanwhile.
TEST(BabelWorld, NeverLoopsAndAlwaysConverges) {
    uint64_t nb_checked = 0;
    for (uint64_t seed = 100; seed < 120; ++seed) {
        RandomWorld random{seed, 6 + static_cast<uint32_t>(seed * 7 % 10)};
        random.world.run_for(10s);
        for (int i = 0; i < 60; ++i) {
            random.disturb();
            random.world.run_for(std::chrono::milliseconds{random.pick(1500)});
        }
        random.heal();
        random.world.run_for(120s);
        SCOPED_TRACE(seed);
        EXPECT_EQ(random.world.nb_loops, 0U);
        random.expect_shortest();
        nb_checked += random.world.nb_checked;
    }
    EXPECT_GT(nb_checked, 10'000U);  // it did happen
}

}  // namespace
}  // namespace meshgate::babel::test
