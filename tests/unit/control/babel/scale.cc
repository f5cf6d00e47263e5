// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/babel/scale.h"

#include <algorithm>

namespace meshgate::babel::test {

namespace {

using namespace std::chrono_literals;

constexpr Duration kUsed = 200ms;
constexpr Duration kIdle = 2s;

}  // namespace

Prefix network_prefix() {
    return Prefix{node_prefix(0).address, 48}.network();
}

ScaleWorld::ScaleWorld(const Size& size) : world{size.seed}, size_{size} {
    std::mt19937_64 random{size.seed};
    const auto pick = [&random](uint32_t below) { return static_cast<uint32_t>(random() % below); };
    const auto delay = [&pick] { return std::chrono::milliseconds{2 + pick(40)}; };
    for (uint32_t i = 0; i < size.nb_hubs + size.nb_leaves; ++i)
        world.own(world.add_node(), node_prefix(i));
    const auto probed = [](Duration interval) {
        return [interval](InterfaceOptions& options) { options.hello_interval = interval; };
    };
    for (uint32_t a = 0; a < size.nb_hubs; ++a) {
        world.own(a, network_prefix(), Scope::aggregate);
        for (uint32_t b = 0; b < a; ++b)
            world.connect({.sides = {World::Side{.node = a, .adjust = probed(kUsed)},
                                     World::Side{.node = b, .adjust = probed(kUsed)}},
                           .delay = delay()});
    }
    links_of_.resize(size.nb_leaves);
    for (uint32_t i = 0; i < size.nb_leaves; ++i) {
        const uint32_t first = pick(size.nb_hubs);
        for (uint32_t k = 0; k < size.nb_hubs_per_leaf; ++k) {
            const uint32_t hub = (first + k) % size.nb_hubs;
            links_of_[i].push_back(
                world.connect({.sides = {World::Side{.node = leaf(i),
                                                     .announce = Announce::own_only,
                                                     .adjust = probed(kIdle)},
                                         World::Side{.node = hub,
                                                     .announce = Announce::aggregates,
                                                     .adjust = probed(kIdle)}},
                               .delay = delay()}));
        }
    }
    for (int i = 0; i < 2000; ++i)
        samples_.emplace_back(pick(size.nb_leaves), pick(size.nb_leaves));
}

// What the owner of the links does: fast where data goes, at both ends.
void ScaleWorld::probe_what_is_used() {
    for (uint32_t i = 0; i < size_.nb_leaves; ++i) {
        const auto& table = world.nodes[leaf(i)].table;
        const auto found = table.find(network_prefix());
        for (const World::LinkIndex link : links_of_[i]) {
            const bool used = found != table.end() && found->second.via.interface == link;
            for (const World::Side& side : world.links[link].sides)
                world.set_hello_interval(side.node, link, used ? kUsed : kIdle);
        }
    }
}

void ScaleWorld::run_for(Duration duration) {
    for (const Time end = world.now + duration; world.now < end;) {
        world.run_for(std::min<Duration>(1s, end - world.now));
        probe_what_is_used();
    }
}

bool ScaleWorld::all_reach() const {
    return std::all_of(samples_.begin(), samples_.end(), [this](const auto& pair) {
        return world.reaches(leaf(pair.first), node_prefix(leaf(pair.second)));
    });
}

Duration ScaleWorld::recovery_after_death_of(uint32_t hub, Duration limit) {
    const Time start = world.now;
    world.kill(hub);
    while (!all_reach() && world.now - start <= limit) {
        world.run_for(50ms);
        if ((world.now - start) % 1s < 50ms)
            probe_what_is_used();
    }
    return world.now - start;
}

std::vector<ScaleWorld::Reading> ScaleWorld::readings() const {
    std::vector<Reading> all;
    for (const World::Node& node : world.nodes)
        all.push_back({node.underlay_bytes, node.packets});
    return all;
}

ScaleWorld::Measured ScaleWorld::measure(Duration over) {
    const auto before = readings();
    const uint64_t updates_before = nb_updates_sent();
    run_for(over);
    const auto after = readings();
    const double seconds = std::chrono::duration<double>(over).count();
    const auto mean = [&](uint32_t first, uint32_t end) {
        Traffic result;
        for (uint32_t i = first; i < end; ++i) {
            const double kbit_s =
                static_cast<double>(after[i].bytes - before[i].bytes) * 8 / 1000 / seconds;
            result.mean_kbit_s += kbit_s / (end - first);
            result.max_kbit_s = std::max(result.max_kbit_s, kbit_s);
            result.packets_s +=
                static_cast<double>(after[i].packets - before[i].packets) / seconds / (end - first);
        }
        return result;
    };
    return {.leaf = mean(size_.nb_hubs, size_.nb_hubs + size_.nb_leaves),
            .hub = mean(0, size_.nb_hubs),
            .updates_s = static_cast<double>(nb_updates_sent() - updates_before) / seconds};
}

uint64_t ScaleWorld::nb_updates_sent() const {
    uint64_t sum = 0;
    for (const World::Node& node : world.nodes)
        sum += node.speaker->counter(Counter::updates_sent);
    return sum;
}

size_t ScaleWorld::max_routes_of_a_leaf() const {
    size_t most = 0;
    for (uint32_t i = 0; i < size_.nb_leaves; ++i)
        most = std::max(most, world.nodes[leaf(i)].speaker->routes().size());
    return most;
}

size_t ScaleWorld::max_routes_of_a_hub() const {
    size_t most = 0;
    for (uint32_t i = 0; i < size_.nb_hubs; ++i)
        most = std::max(most, world.nodes[i].speaker->routes().size());
    return most;
}

}  // namespace meshgate::babel::test
