// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/link_prober.h"

#include <sodium.h>

#include <utility>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// Not heard for so long: the next packet of the link makes it fresh.
constexpr auto kQuiet = 5s;
// After users' last packet a link counts as in use.
constexpr auto kInUseFor = 10s;

}  // namespace

LinkProber::LinkProber(const Parts& parts)
    : parts_{parts},
      policy_{parts.members, parts.links},
      speaker_{{.fill_random = [](auto bytes) { randombytes_buf(bytes.data(), bytes.size()); },
                .router_id = std::nullopt,
                .policy = &policy_}} {}

babel::CostOptions LinkProber::cost_of(const LinkKey& key) const {
    babel::CostOptions cost = babel::CostOptions::tunnel();
    if (const PortTerms::Terms* terms = parts_.port_terms.of(key.port)) {
        cost.bias = terms->cost_bias;
        cost.metered = terms->metered;
    }
    return cost;
}

// ---- configuration ----

void LinkProber::on_port_terms_changed(Time now) {
    for (const auto& [id, interval] : intervals_)
        speaker_.set_cost(id, cost_of(parts_.underlay.key_of(id)), now);
}

void LinkProber::on_network_changed(Time now) {
    const MemberTable& members = parts_.members;
    if (members.self()) {
        speaker_.originate({members.node(), 128}, babel::Scope::everywhere, now);
        if (members.is_relay())
            speaker_.originate(members.node_prefix(), babel::Scope::aggregate, now);
        else
            speaker_.withdraw(members.node_prefix(), now);
    }
    // Who hears what from us depends on who is a relay.
    for (const auto& [id, interval] : intervals_) {
        if (const Member* member = parts_.links.member_of(id))
            speaker_.set_announce(id, policy_.announce_to(*member), now);
    }
    speaker_.on_policy_changed(now);
}

void LinkProber::shutdown() {
    speaker_.shutdown();
    shut_down_ = true;
}

// ---- links ----

void LinkProber::probe_candidates(const Member& member, const std::vector<Endpoint>& endpoints,
                                  Time now) {
    for (const Endpoint& endpoint : endpoints) {
        for (const UnderlayPort& port : parts_.underlay.ports()) {
            const LinkKey key{port.id, endpoint};
            const MemberLink* link = parts_.links.add(member, key, LinkOrigin::candidate, now);
            if (link == nullptr || link->heard)
                continue;
            stop(link->id, now);
            start(member, key, link->id, now);
        }
    }
}

void LinkProber::stop_probing(const Member& member, Time now) {
    for (const auto& [key, link] : parts_.links.of(member))
        stop(link.id, now);
}

void LinkProber::on_link_gone(LinkId id, Time now) {
    stop(id, now);
    schedule_.forget(id);
    links_changed_ = true;
}

void LinkProber::start(const Member& member, const LinkKey& key, LinkId id, Time now) {
    if (!intervals_.emplace(id, kIntervalInUse).second)
        return;
    auto options = babel::InterfaceOptions::tunnel(parts_.members.link_local(), member.link_local,
                                                   policy_.announce_to(member));
    options.cost = cost_of(key);
    options.hello_interval = kIntervalInUse;
    parts_.links.find(id)->tried = now;
    schedule_.on_probed(id, now);
    speaker_.add_interface(id, options, {}, now);
}

void LinkProber::stop(LinkId id, Time now) {
    if (intervals_.erase(id) == 0)
        return;
    speaker_.remove_interface(id, now);
    links_changed_ = true;
}

// ---- time ----

void LinkProber::begin_round(Time now) {
    schedule_.begin_round();
    for (const babel::NeighborView& neighbor : speaker_.neighbors())
        schedule_.on_their_interval(neighbor.id.interface, neighbor.hello_interval);
    for (const auto& [node, member] : parts_.members.all()) {
        if (member->path && member->traffic.since(now - kInUseFor))
            schedule_.on_path(member->path->via.link);
        for (const auto& [key, link] : parts_.links.of(*member))
            schedule_.on_relayed(link.id, parts_.dataplane.link_activity(link.id).relayed_packets,
                                 now);
    }
}

void LinkProber::review(const Member& member, bool probe, Time now) {
    for (const auto& [key, link] : parts_.links.of(member)) {
        if (probe)
            start(member, key, link.id, now);
        else
            stop(link.id, now);
    }
    if (probe && !parts_.members.is_eager(member))
        speaker_.want({member.node, 128}, now);
    if (!probe)
        speaker_.unwant({member.node, 128});
    set_intervals(member, now);
}

void LinkProber::set_intervals(const Member& member, Time now) {
    using Patience = ProbeSchedule::Patience;
    const Patience patience = parts_.members.is_eager(member) ? Patience::eager : Patience::usual;
    for (const auto& [key, link] : parts_.links.of(member)) {
        const auto probed = intervals_.find(link.id);
        if (probed == intervals_.end())
            continue;
        const auto wanted = schedule_.interval_of(link.id, link.silence(now), patience, now);
        if (std::exchange(probed->second, wanted) != wanted)
            speaker_.set_hello_interval(link.id, wanted, now);
    }
}

// ---- events ----

void LinkProber::receive(const Member& member, const LinkKey& from, const babel::Flow& flow,
                         std::span<const uint8_t> bytes, Time now) {
    MemberLink* link = parts_.links.add(member, from, LinkOrigin::heard, now);
    if (link == nullptr)
        return;
    // After a silence it has to prove itself, and fast: others may have no other way.
    if (!link->heard || now - *link->heard > kQuiet)
        schedule_.on_heard_again(link->id, now);
    link->heard = now;
    if (intervals_.contains(link->id) && !shut_down_)
        speaker_.receive({.interface = link->id, .flow = flow, .bytes = bytes}, now);
}

// The next best link may share the fault, and Hellos on idle links are far apart. Of those by our
// port, relays' alone: they are few, and stand in.
void LinkProber::suspect_shared_links(LinkId id, Time now) {
    const PortId port = parts_.underlay.key_of(id).port;
    const Member* failed = parts_.links.member_of(id);
    for (const auto& [node, member] : parts_.members.all()) {
        for (const auto& [key, link] : parts_.links.of(*member)) {
            if (link.id != id && intervals_.contains(link.id) &&
                (member.get() == failed || (member->info.relay && key.port == port)))
                speaker_.doubt(link.id, now);
        }
    }
}

bool LinkProber::take_routes_changed() {
    const bool routes_changed = !speaker_.take_route_changes().empty();
    return std::exchange(links_changed_, false) || routes_changed;
}

// ---- what is known ----

std::optional<Time::duration> LinkProber::interval_of(LinkId id) const {
    const auto probed = intervals_.find(id);
    if (probed == intervals_.end())
        return std::nullopt;
    return probed->second;
}

std::set<IpAddress> LinkProber::members_up() const {
    std::set<IpAddress> result;
    for (const babel::NeighborView& neighbor : speaker_.neighbors()) {
        const Member* member = parts_.links.member_of(neighbor.id.interface);
        if (neighbor.up && member != nullptr)
            result.insert(member->node);
    }
    return result;
}

Route LinkProber::route_of(const babel::RouteView& route) const {
    const Member* hop = parts_.links.member_of(route.via.interface);
    return {.via = {route.via.interface, hop == nullptr ? IpAddress{} : hop->node},
            .metric = hop == nullptr ? babel::kInfinity : route.metric,
            .feasible = route.feasible,
            .selected = route.selected};
}

Routes LinkProber::routes_to(const Member& member) const {
    Routes result;
    for (const babel::RouteView& route : speaker_.routes({member.node, 128}))
        result.to_node.push_back(route_of(route));
    for (const babel::RouteView& route : speaker_.routes(parts_.members.node_prefix()))
        result.to_aggregate.push_back(route_of(route));
    return result;
}

}  // namespace meshgate::mesh
