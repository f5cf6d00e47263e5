// SPDX-License-Identifier: Apache-2.0
// How Babel's control traffic and convergence grow: babel_scale [LEAVES [HUBS [HUBS_PER_LEAF]]],
// in virtual time. The figures are of bytes and of virtual seconds, the same on every machine;
// only the last line is of this one.

#include <cstdio>
#include <cstdlib>

#include "tests/unit/control/babel/scale.h"

int main(int argc, char** argv) {
    using namespace meshgate::babel::test;
    using namespace std::chrono_literals;
    const auto argument = [&](int at, uint32_t otherwise) {
        return argc > at ? static_cast<uint32_t>(std::strtoul(argv[at], nullptr, 10)) : otherwise;
    };
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // it takes a while
    const auto started = std::chrono::steady_clock::now();
    const ScaleWorld::Size size{.nb_leaves = argument(1, 10'000),
                                .nb_hubs = argument(2, 20),
                                .nb_hubs_per_leaf = argument(3, 2)};
    ScaleWorld scale{size};
    meshgate::babel::Duration start{};
    while (!scale.all_reach() && start < 120s) {
        scale.run_for(1s);
        start += 1s;
    }
    const auto seconds = [](auto duration) {
        return std::chrono::duration<double>(duration).count();
    };
    std::printf("%u leaves with %u of %u hubs each\n", size.nb_leaves, size.nb_hubs_per_leaf,
                size.nb_hubs);
    std::printf("all reach all after start      %8.0f s\n", seconds(start));
    scale.run_for(15s);
    std::printf("routes held by a leaf, a hub   %8zu %zu\n", scale.max_routes_of_a_leaf(),
                scale.max_routes_of_a_hub());
    const auto measured = scale.measure(60s);
    std::printf("updates sent by all            %8.0f /s\n", measured.updates_s);
    std::printf("leaf, on the underlay          %8.1f kbit/s, most %.1f, %.1f packets/s\n",
                measured.leaf.mean_kbit_s, measured.leaf.max_kbit_s, measured.leaf.packets_s);
    std::printf("hub, on the underlay           %8.0f kbit/s, most %.0f, %.0f packets/s\n",
                measured.hub.mean_kbit_s, measured.hub.max_kbit_s, measured.hub.packets_s);
    const auto recovery = scale.recovery_after_death_of(0, 60s);
    std::printf("all reach all after a hub died %8.2f s\n", seconds(recovery));
    std::printf("loops                          %8llu in %llu changes\n",
                static_cast<unsigned long long>(scale.world.nb_loops),
                static_cast<unsigned long long>(scale.world.nb_checked));
    std::printf("(took %.0f s here)\n", seconds(std::chrono::steady_clock::now() - started));
    return recovery <= 10s && scale.world.nb_loops == 0 ? 0 : 1;
}
