// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/babel/world.h"

#include <algorithm>

namespace meshgate::babel::test {

FillRandom seeded_random(uint64_t seed) {
    auto engine = std::make_shared<std::mt19937_64>(seed);
    return [engine](std::span<uint8_t> bytes) {
        for (uint8_t& byte : bytes)
            byte = static_cast<uint8_t>((*engine)());
    };
}

size_t underlay_bytes(size_t packet_len) {
    const size_t inner = (40 + 8 + packet_len + 15) / 16 * 16;
    return 20 + 8 + 16 + inner + 16;
}

IpAddress node_link_local(uint32_t node) {
    std::array<uint8_t, 16> bytes{0xfe, 0x80};
    for (size_t i = 0; i < 4; ++i)
        bytes[15 - i] = static_cast<uint8_t>((node + 1) >> (8 * i));
    return IpAddress::v6(bytes.data());
}

Prefix node_prefix(uint32_t node) {
    std::array<uint8_t, 16> bytes{0xfd, 0, 0x6d, 0x67, 0, 1};
    for (size_t i = 0; i < 4; ++i)
        bytes[15 - i] = static_cast<uint8_t>((node + 1) >> (8 * i));
    return {IpAddress::v6(bytes.data()), 128};
}

World::NodeIndex World::add_node(const std::function<void(SpeakerOptions&)>& adjust) {
    const auto index = static_cast<NodeIndex>(nodes.size());
    SpeakerOptions options{.fill_random = seeded_random(seed_ * 1'000'003 + index),
                           .router_id = std::nullopt};
    if (adjust)
        adjust(options);
    nodes.emplace_back().speaker = std::make_unique<Speaker>(std::move(options));
    deadline_of_.push_back(kNever);
    deadlines_.insert({kNever, index});
    return index;
}

World::LinkIndex World::connect(Link link) {
    const auto index = static_cast<LinkIndex>(links.size());
    for (size_t side = 0; side < 2; ++side) {
        const Side& mine = link.sides[side];
        InterfaceOptions options = InterfaceOptions::tunnel(
            node_link_local(mine.node), node_link_local(link.sides[1 - side].node), mine.announce);
        options.cost.base = mine.base_cost;
        if (mine.adjust)
            mine.adjust(options);
        nodes[mine.node].speaker->add_interface(index, options, {}, now);
    }
    links.push_back(std::move(link));
    for (const Side& side : links.back().sides)
        collect(side.node);
    return index;
}

void World::own(NodeIndex node, const Prefix& prefix, Scope scope) {
    nodes[node].owned.push_back(prefix);
    nodes[node].speaker->originate(prefix, scope, now);
    collect(node);
}

void World::set_base_cost(LinkIndex link, unsigned side, uint16_t base_cost) {
    Side& mine = links[link].sides[side];
    mine.base_cost = base_cost;
    InterfaceOptions options = InterfaceOptions::tunnel({}, {}, mine.announce);
    if (mine.adjust)
        mine.adjust(options);
    options.cost.base = base_cost;
    nodes[mine.node].speaker->set_cost(link, options.cost, now);
    collect(mine.node);
}

void World::set_hello_interval(NodeIndex node, LinkIndex link, Duration interval) {
    nodes[node].speaker->set_hello_interval(link, interval, now);
    collect(node);
}

void World::send(NodeIndex from, Outgoing packet) {
    Link& link = links[packet.interface];
    const unsigned side = link.sides[0].node == from ? 0 : 1;
    nodes[from].underlay_bytes += underlay_bytes(packet.bytes.size());
    ++nodes[from].packets;
    if (!link.sides[side].up || random_0_to_1() < link.loss)
        return;
    const double factor = 1 + link.jitter * (2 * random_0_to_1() - 1);
    const auto delay = std::chrono::duration_cast<Duration>(link.delay * factor);
    deliveries_.push(
        {now + delay, ++order_, link.sides[1 - side].node, packet.interface, std::move(packet)});
}

bool World::owns(NodeIndex node, const Prefix& prefix) const {
    const auto& owned = nodes[node].owned;
    return std::find(owned.begin(), owned.end(), prefix) != owned.end();
}

void World::collect(NodeIndex index) {
    Node& node = nodes[index];
    for (Outgoing& packet : node.speaker->take_packets())
        send(index, std::move(packet));
    for (const Event& event : node.speaker->take_events())
        ++node.events[static_cast<size_t>(event.kind)];
    for (const RouteChange& change : node.speaker->take_route_changes()) {
        const auto before = node.table.find(change.prefix);
        const bool same_way = before != node.table.end() && before->second.state == change.state &&
                              before->second.via == change.via;
        node.nb_route_changes += same_way ? 0 : 1;
        if (change.state == RouteChange::State::gone)
            node.table.erase(change.prefix);
        else
            node.table[change.prefix] = change;
        if (same_way)
            continue;
        ++nb_checked;
        nb_loops += way(index, change.prefix).empty() ? 1 : 0;
    }
    deadlines_.erase({deadline_of_[index], index});
    deadline_of_[index] = node.alive ? node.speaker->next_deadline() : kNever;
    deadlines_.insert({deadline_of_[index], index});
}

void World::run_for(Duration duration) {
    const Time end = now + duration;
    while (true) {
        const Time tick_at = deadlines_.empty() ? kNever : deadlines_.begin()->first;
        const Time delivery_at = deliveries_.empty() ? kNever : deliveries_.top().at;
        const Time next = std::min(tick_at, delivery_at);
        if (next > end)
            break;
        now = std::max(now, next);
        NodeIndex index = 0;
        if (delivery_at <= tick_at) {
            const Delivery delivery = deliveries_.top();
            deliveries_.pop();
            index = delivery.to;
            Node& node = nodes[index];
            if (!node.alive)
                continue;
            node.underlay_bytes += underlay_bytes(delivery.packet.bytes.size());
            ++node.packets;
            node.speaker->receive({delivery.interface, delivery.packet.flow, delivery.packet.bytes},
                                  now);
        } else {
            index = deadlines_.begin()->second;
            if (nodes[index].alive)
                nodes[index].speaker->tick(now);
        }
        collect(index);
    }
    now = end;
}

std::vector<World::NodeIndex> World::way(NodeIndex from, const Prefix& prefix) const {
    std::vector<NodeIndex> visited{from};
    while (!owns(visited.back(), prefix)) {
        const Node& node = nodes[visited.back()];
        const auto found = node.table.find(prefix);
        if (found == node.table.end() || found->second.state != RouteChange::State::reachable)
            break;
        const Link& link = links[found->second.via.interface];
        const NodeIndex next = link.sides[link.sides[0].node == visited.back() ? 1 : 0].node;
        if (std::find(visited.begin(), visited.end(), next) != visited.end())
            return {};
        visited.push_back(next);
    }
    return visited;
}

// With the longest prefix that a node knows, hop by hop.
bool World::reaches(NodeIndex from, const Prefix& prefix) const {
    NodeIndex at = from;
    for (size_t hops = 0; hops < nodes.size(); ++hops) {
        if (!nodes[at].alive)
            return false;
        if (owns(at, prefix))
            return true;
        const auto& table = nodes[at].table;
        const RouteChange* best = nullptr;
        for (int len = prefix.len; len >= 0 && best == nullptr; --len) {
            const auto found =
                table.find(Prefix{prefix.address, static_cast<uint8_t>(len)}.network());
            best = found == table.end() ? nullptr : &found->second;
        }
        if (best == nullptr || best->state != RouteChange::State::reachable)
            return false;
        const Link& link = links[best->via.interface];
        const unsigned side = link.sides[0].node == at ? 0 : 1;
        if (!link.sides[side].up)
            return false;
        at = link.sides[1 - side].node;
    }
    return false;
}

uint16_t World::base_cost_from(LinkIndex link, NodeIndex from) const {
    return links[link].sides[links[link].sides[0].node == from ? 1 : 0].base_cost;
}

std::optional<uint32_t> World::naive_distance(NodeIndex from, NodeIndex to) const {
    std::vector<uint32_t> distance(nodes.size(), UINT32_MAX);
    distance[from] = 0;
    for (size_t round = 0; round < nodes.size(); ++round) {
        for (LinkIndex i = 0; i < links.size(); ++i) {
            const Link& link = links[i];
            if (!link.sides[0].up || !link.sides[1].up || !nodes[link.sides[0].node].alive ||
                !nodes[link.sides[1].node].alive)
                continue;
            for (size_t side = 0; side < 2; ++side) {
                const uint32_t before = distance[link.sides[side].node];
                uint32_t& after = distance[link.sides[1 - side].node];
                if (before != UINT32_MAX)
                    after = std::min(after, before + link.sides[1 - side].base_cost);
            }
        }
    }
    return distance[to] == UINT32_MAX ? std::nullopt : std::optional{distance[to]};
}

std::optional<uint16_t> World::metric(NodeIndex from, const Prefix& prefix) const {
    const auto selected = nodes[from].speaker->selected(prefix);
    return selected ? std::optional{selected->metric} : std::nullopt;
}

}  // namespace meshgate::babel::test
