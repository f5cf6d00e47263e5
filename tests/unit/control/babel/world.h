// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <vector>

#include "control/babel/speaker.h"

namespace meshgate::babel::test {

// Random numbers that are the same in every run.
FillRandom seeded_random(uint64_t seed);

// What a Babel packet of this length costs on the underlay: IPv6 and UDP inside, then WireGuard's
// padding, header and tag, then IPv4 and UDP outside.
size_t underlay_bytes(size_t packet_len);

// Routers joined by point-to-point links, in virtual time.
class World {
public:
    using NodeIndex = uint32_t;
    using LinkIndex = uint32_t;

    struct Side {
        NodeIndex node = 0;
        Announce announce = Announce::everything;
        uint16_t base_cost = 32;  // what the other side pays to send to this one
        bool up = true;           // packets from this side arrive
        std::function<void(InterfaceOptions&)> adjust = nullptr;
    };
    struct Link {
        std::array<Side, 2> sides;
        Duration delay = std::chrono::milliseconds{10};
        double jitter = 0;  // each packet takes delay * (1 ± jitter)
        double loss = 0;
    };
    struct Node {
        std::unique_ptr<Speaker> speaker;
        bool alive = true;
        std::map<Prefix, RouteChange> table;  // reachable and unreachable
        std::vector<Prefix> owned;
        uint64_t nb_route_changes = 0;  // of the way, not of its metric
        uint64_t underlay_bytes = 0;    // sent and received
        uint64_t packets = 0;
        uint64_t events[6] = {};  // by Event::Kind
    };

    explicit World(uint64_t seed) : random_{seed}, seed_{seed} {}

    NodeIndex add_node(const std::function<void(SpeakerOptions&)>& adjust = nullptr);
    LinkIndex connect(Link link);
    void own(NodeIndex node, const Prefix& prefix, Scope scope = Scope::everywhere);
    // Crashed: hears and says nothing more.
    void kill(NodeIndex node) { nodes[node].alive = false; }
    void set_base_cost(LinkIndex link, unsigned side, uint16_t base_cost);
    void set_hello_interval(NodeIndex node, LinkIndex link, Duration interval);
    void run_for(Duration duration);

    // The nodes a packet for the prefix visits, from this node on; the last one owns it, unless the
    // way ends before. Empty: it goes in circles.
    std::vector<NodeIndex> way(NodeIndex from, const Prefix& prefix) const;
    bool reaches(NodeIndex from, const Prefix& prefix) const;
    // Shortest distance over working links by the naive rule; nothing: not connected.
    std::optional<uint32_t> naive_distance(NodeIndex from, NodeIndex to) const;
    std::optional<uint16_t> metric(NodeIndex from, const Prefix& prefix) const;
    bool owns(NodeIndex node, const Prefix& prefix) const;
    uint16_t base_cost_from(LinkIndex link, NodeIndex from) const;

    std::vector<Node> nodes;
    std::vector<Link> links;
    Time now = Time{} + std::chrono::hours{1};
    // Asked after each step in which a route changed; false is counted.
    uint64_t nb_loops = 0;
    uint64_t nb_checked = 0;

private:
    struct Delivery {
        Time at;
        uint64_t order;
        NodeIndex to;
        InterfaceId interface;
        Outgoing packet;
        bool operator>(const Delivery& other) const {
            return std::tie(at, order) > std::tie(other.at, other.order);
        }
    };
    void collect(NodeIndex node);
    void send(NodeIndex from, Outgoing packet);
    double random_0_to_1() { return std::uniform_real_distribution<double>{0, 1}(random_); }

    std::mt19937_64 random_;
    uint64_t seed_;
    uint64_t order_ = 0;
    std::priority_queue<Delivery, std::vector<Delivery>, std::greater<>> deliveries_;
    std::set<std::pair<Time, NodeIndex>> deadlines_;
    std::vector<Time> deadline_of_;
};

// fe80::1 for node 0, and so on.
IpAddress node_link_local(uint32_t node);
// fd00:6d67:1::1/128 for node 0, and so on.
Prefix node_prefix(uint32_t node);

}  // namespace meshgate::babel::test
