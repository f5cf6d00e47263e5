// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/unit/control/babel/world.h"

namespace meshgate::babel::test {

// A network as boxes make it: leaves with links to some hubs, all hubs with each other; links in
// use are probed fast, the others slowly.
class ScaleWorld {
public:
    struct Size {
        uint32_t nb_leaves = 0;
        uint32_t nb_hubs = 0;
        uint32_t nb_hubs_per_leaf = 2;
        uint64_t seed = 1;
    };
    struct Traffic {
        double mean_kbit_s = 0;  // on the underlay, both directions together
        double max_kbit_s = 0;
        double packets_s = 0;  // mean
    };

    explicit ScaleWorld(const Size& size);

    // Virtual time, with the probing of links kept to what is in use.
    void run_for(Duration duration);
    // Crashes a hub and runs until every leaf reaches every sampled one again; the seconds it took,
    // more than `limit` when it did not.
    Duration recovery_after_death_of(uint32_t hub, Duration limit);
    bool all_reach() const;
    struct Measured {
        Traffic leaf;
        Traffic hub;
        double updates_s = 0;  // sent by all
    };
    Measured measure(Duration over);

    uint32_t leaf(uint32_t number) const { return size_.nb_hubs + number; }
    size_t max_routes_of_a_leaf() const;
    size_t max_routes_of_a_hub() const;

    World world;

private:
    void probe_what_is_used();
    struct Reading {
        uint64_t bytes = 0;
        uint64_t packets = 0;
    };
    std::vector<Reading> readings() const;
    uint64_t nb_updates_sent() const;

    Size size_;
    std::vector<std::vector<World::LinkIndex>> links_of_;  // by leaf
    std::vector<std::pair<uint32_t, uint32_t>> samples_;   // leaves
};

// The aggregate of all node_prefix().
Prefix network_prefix();

}  // namespace meshgate::babel::test
