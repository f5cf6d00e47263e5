// SPDX-License-Identifier: Apache-2.0
#include "control/site_routers/routers.h"

#include <algorithm>

#include "control/neighbor/messages.h"
#include "control/packets/udp.h"

namespace meshgate::control::site_routers {

namespace {

using State = babel::RouteChange::State;

constexpr MacAddress kGroupMac{{0x33, 0x33, 0, 1, 0, 6}};  // of ff02::1:6 (RFC 2464, section 7)
// Of what lies behind a tunnel, so that a router of the site with a way of its own is preferred.
constexpr uint16_t kTunnelMetric = 128;
constexpr size_t kMaxMacs = 64;  // senders whose MAC address is remembered

babel::MacAlgorithm algorithm_of(config::MacAlgorithm algorithm) {
    return algorithm == config::MacAlgorithm::blake2s ? babel::MacAlgorithm::blake2s
                                                      : babel::MacAlgorithm::hmac_sha256;
}

// Whether neighbours of the one are neighbours of the other; what remains can change under way.
bool same_network(const Place& a, const Place& b) {
    return a.options.address == b.options.address && a.options.ipv4 == b.options.ipv4 &&
           a.options.split_horizon == b.options.split_horizon &&
           a.options.max_packet_len == b.options.max_packet_len && a.up == b.up &&
           a.identity.mac == b.identity.mac && a.identity.vlan == b.identity.vlan &&
           a.key_file == b.key_file && a.key_algorithm == b.key_algorithm && a.key_tag == b.key_tag;
}

bool same_cost(const babel::CostOptions& a, const babel::CostOptions& b) {
    return a.base == b.base && a.bias == b.bias && a.per_loss == b.per_loss;
}

std::vector<uint8_t> bytes_of(const std::optional<RouterMark>& mark) {
    return mark ? std::vector<uint8_t>(mark->begin(), mark->end()) : std::vector<uint8_t>{};
}

std::optional<uint16_t> metric_of(const RibRoute& route) {
    if (route.origin == RouteOrigin::built_in || route.origin == RouteOrigin::address ||
        route.origin == RouteOrigin::babel)
        return std::nullopt;
    switch (route.entry.kind) {
        case ForwardKind::connected:
        case ForwardKind::gateway:
            return 0;
        case ForwardKind::peer:
            return kTunnelMetric;
        default:
            return std::nullopt;
    }
}

}  // namespace

Routers::Routers(Parts parts)
    : parts_{std::move(parts)},
      speaker_{{.fill_random = parts_.fill_random,
                .router_id = {},
                .router_id_prefix = bytes_of(parts_.mark),
                .policy = &policy_}} {}

// ---- configuration ----

void Routers::set_places(std::vector<Place> places, MacSecrets&& secrets, Time now) {
    for (auto& [file, secret] : secrets)
        secrets_[file] = std::move(secret);
    std::set<babel::InterfaceId> wanted;
    for (const Place& place : places)
        wanted.insert(place.id());
    for (auto it = places_.begin(); it != places_.end();) {
        const auto next = std::next(it);
        if (!wanted.contains(it->first)) {
            stop(it->second, now);
            policy_.remove_filter(it->first);
            places_.erase(it);
        }
        it = next;
    }
    bool filters_changed = false;
    for (Place& place : places) {
        const auto at = places_.find(place.id());
        if (at == places_.end()) {
            policy_.set_filter(place.id(), place.filter);
            Active& active = places_[place.id()];
            active.place = std::move(place);
            start(active, now);
            continue;
        }
        if (at->second.place.filter != place.filter) {
            filters_changed = true;
            retract(at->second.place, place, now);
        }
        change(at->second, std::move(place), now);
    }
    if (filters_changed)
        speaker_.on_policy_changed(now);
    settle(now);
}

// What its neighbours were told of, and shall not be any more.
void Routers::retract(const Place& before, const Place& after, Time now) {
    std::set<Prefix> told;
    for (const auto& [prefix, metric] : originated_)
        told.insert(prefix);
    for (const auto& [prefix, change] : learned_)
        told.insert(prefix);
    std::erase_if(told, [&](const Prefix& prefix) {
        return !policy_.may_export(before.id(), prefix, originated_.contains(prefix));
    });
    policy_.set_filter(after.id(), after.filter);
    for (const Prefix& prefix : told)
        speaker_.retract(after.id(), prefix, now);
}

void Routers::change(Active& active, Place place, Time now) {
    const babel::InterfaceId id = place.id();
    const bool same = same_network(active.place, place);
    if (!same)
        stop(active, now);
    if (same && !same_cost(active.place.options.cost, place.options.cost))
        speaker_.set_cost(id, place.options.cost, now);
    if (same)
        speaker_.set_hello_interval(id, place.options.hello_interval, now);
    active.place = std::move(place);
    if (!same)
        start(active, now);
}

void Routers::start(Active& active, Time now) {
    if (!active.place.up)
        return;
    std::vector<babel::MacKey> keys;
    if (!active.place.key_file.empty())
        keys.emplace_back(algorithm_of(active.place.key_algorithm),
                          secrets_[active.place.key_file].bytes());
    speaker_.add_interface(active.place.id(), active.place.options, std::move(keys), now);
    active.running = true;
}

void Routers::stop(Active& active, Time now) {
    if (active.running)
        speaker_.remove_interface(active.place.id(), now);
    active.running = false;
    active.macs.clear();
}

void Routers::set_ownership(Policy::Ownership ownership, Time now) {
    if (!policy_.set_ownership(std::move(ownership)))
        return;
    speaker_.on_policy_changed(now);
    settle(now);
}

void Routers::set_own_routes(std::span<const RibRoute> rib, Time now) {
    std::map<Prefix, uint16_t> wanted;
    std::map<Prefix, PeerId> leads_to;
    if (!places_.empty()) {
        for (const RibRoute& route : rib) {
            const auto metric = metric_of(route);
            if (!metric)
                continue;
            wanted[route.prefix] = *metric;
            leads_to.erase(route.prefix);
            if (route.entry.kind == ForwardKind::peer)
                leads_to[route.prefix] = route.entry.peer;
        }
    }
    policy_.set_leads_to(std::move(leads_to));
    for (const auto& [prefix, metric] : originated_) {
        if (!wanted.contains(prefix))
            speaker_.withdraw(prefix, now);
    }
    for (const auto& [prefix, metric] : wanted) {
        const auto before = originated_.find(prefix);
        if (before == originated_.end() || before->second != metric)
            speaker_.originate(prefix, babel::Scope::everywhere, now, metric);
    }
    originated_ = std::move(wanted);
    settle(now);
}

// ---- events ----

bool Routers::takes(const PacketInfo& info) const {
    Place place;
    place.port = info.peer == kNoPeer ? info.port : kNoPort;
    place.peer = info.peer;
    return places_.contains(place.id());
}

void Routers::receive(const Packet& packet, Time now) {
    if (gone_)
        return;
    const PacketInfo& info = packet.info();
    Place from;
    from.port = info.port;
    from.peer = info.peer;
    const auto at = places_.find(from.id());
    const auto datagram = parse_udp(packet.bytes());
    const bool is_babel = at != places_.end() && datagram &&
                          datagram->destination.port == babel::kPort &&
                          (datagram->destination.address == at->second.place.options.address ||
                           datagram->destination.address == babel::multicast_group());
    if (!is_babel) {
        parts_.dataplane.count_drop(Drop::local_no_listener);
        return;
    }
    Active& active = at->second;
    if (info.peer == kNoPeer) {
        if (active.macs.size() >= kMaxMacs)
            active.macs.clear();
        active.macs[datagram->source.address] = info.source_mac;
    }
    speaker_.receive({.interface = at->first,
                      .flow = {.source = datagram->source, .destination = datagram->destination},
                      .bytes = datagram->payload},
                     now);
    settle(now);
}

Time Routers::next_deadline() const noexcept {
    return gone_ ? kNever : speaker_.next_deadline();
}

void Routers::tick(Time now) {
    if (gone_)
        return;
    speaker_.tick(now);
    settle(now);
}

void Routers::shutdown() {
    gone_ = true;
    speaker_.shutdown();
    for (const babel::Outgoing& outgoing : speaker_.take_packets())
        send(outgoing, Time{});
}

// ---- what the speaker wants ----

void Routers::settle(Time now) {
    for (const babel::Outgoing& outgoing : speaker_.take_packets())
        send(outgoing, now);
    for (const babel::RouteChange& change : speaker_.take_route_changes())
        on_route(change, now);
    for (const babel::Event& event : speaker_.take_events())
        on_event(event, now);
}

Packet Routers::datagram_of(const babel::Outgoing& outgoing) {
    return make_udp(parts_.dataplane,
                    {.source = outgoing.flow.source, .destination = outgoing.flow.destination},
                    outgoing.bytes);
}

void Routers::send(const babel::Outgoing& outgoing, Time now) {
    const auto at = places_.find(outgoing.interface);
    if (at == places_.end())
        return;
    const Place& place = at->second.place;
    if (place.peer == kNoPeer)
        return send_on_port(at->second, outgoing, now);
    Packet packet = datagram_of(outgoing);
    if (!packet)
        return;
    packet.info().inject = Inject::seal;
    packet.info().peer = place.peer;
    parts_.dataplane.send(std::move(packet), outgoing.interface);
}

void Routers::send_on_port(const Active& active, const babel::Outgoing& outgoing, Time now) {
    const Place& place = active.place;
    const IpAddress& to = outgoing.flow.destination.address;
    std::optional<MacAddress> mac = kGroupMac;
    if (!to.is_multicast()) {
        mac = parts_.neighbors.resolve(place.port, to, now);
        const auto heard = active.macs.find(to);
        if (!mac && heard != active.macs.end())
            mac = heard->second;
    }
    if (!mac) {  // said again, as all that must arrive
        parts_.dataplane.count_drop(Drop::unresolved_neighbor);
        return;
    }
    Packet packet = datagram_of(outgoing);
    if (!packet)
        return;
    const Frame header = ethernet_header(place.identity, *mac, kEthertypeIpv6);
    uint8_t* front = packet.prepend(static_cast<uint16_t>(header.size()));
    if (front == nullptr) {
        parts_.dataplane.count_drop(Drop::no_headroom);
        return;
    }
    std::ranges::copy(header, front);
    packet.info().inject = Inject::frame;
    packet.info().port = place.port;
    parts_.dataplane.send(std::move(packet), outgoing.interface);
}

void Routers::on_route(const babel::RouteChange& change, Time now) {
    const auto before = learned_.find(change.prefix);
    const auto old = before == learned_.end() ? std::nullopt : route_of(before->second);
    const auto route = route_of(change);
    if (change.state == State::gone)
        learned_.erase(change.prefix);
    else
        learned_[change.prefix] = change;
    changed_ = changed_ || old != route;  // a metric is nothing to the workers
    // So that the first packet need not wait.
    if (route && route->entry.kind == ForwardKind::gateway)
        parts_.neighbors.resolve(route->entry.port, route->entry.next_hop, now);
}

std::optional<RibRoute> Routers::route_of(const babel::RouteChange& change) const {
    RibRoute route{.prefix = change.prefix,
                   .entry = {.kind = ForwardKind::blackhole},
                   .origin = RouteOrigin::babel};
    if (change.state == State::gone)
        return std::nullopt;
    if (change.state == State::unreachable)
        return route;
    const auto at = places_.find(change.via.interface);
    if (at == places_.end())
        return std::nullopt;
    const Place& place = at->second.place;
    if (place.peer != kNoPeer) {
        route.entry = {.kind = ForwardKind::peer, .peer = place.peer};
        return route;
    }
    // An IPv4 next hop that our ARP cannot reach, or an IPv6 one of a third party: the neighbour
    // itself is the way. So there are never more entries than hosts of the network.
    const bool on_link =
        change.next_hop.is_v4() && std::ranges::any_of(place.networks, [&](const Prefix& network) {
            return network.contains(change.next_hop);
        });
    route.entry = {.kind = ForwardKind::gateway,
                   .port = place.port,
                   .next_hop = on_link ? change.next_hop : change.via.address};
    return route;
}

std::vector<RibRoute> Routers::routes() const {
    std::vector<RibRoute> routes;
    routes.reserve(learned_.size());
    for (const auto& [prefix, change] : learned_) {
        if (const auto route = route_of(change))
            routes.push_back(*route);
    }
    return routes;
}

void Routers::on_event(const babel::Event& event, Time now) {
    using Kind = babel::Event::Kind;
    const auto at = places_.find(event.neighbor.interface);
    const std::string place = at == places_.end() ? "?" : at->second.place.name;
    const std::string who = to_string(event.neighbor.address);
    switch (event.kind) {
        case Kind::neighbor_up:
            return parts_.log.write(
                {Log::Level::info, "babel-neighbor-up", place, who + " is a neighbour"}, now);
        case Kind::neighbor_down:
            return parts_.log.write(
                {Log::Level::warning, "babel-neighbor-down", place, who + " is gone"}, now);
        case Kind::neighbor_suspected:
            return;
        case Kind::prefix_refused:
            break;
        case Kind::too_many_routes:
            return parts_.log.write({Log::Level::error, "babel-too-many-routes", place,
                                     who + " announces too many routes; further ones are ignored"},
                                    now);
        case Kind::sender_refused:
            return parts_.log.write({Log::Level::error, "babel-sender-refused", place,
                                     "somebody sends Babel without the key of key_file"},
                                    now);
    }
    const auto refusal = policy_.refusal(event.neighbor.interface, event.prefix);
    if (!refusal || at == places_.end())
        return;  // allowed meanwhile
    ++nb_refused_[refusal->kind];
    Refused& refused = at->second.refused;
    ++refused.total;
    refused.last = event.prefix;
    refused.reason = to_string(*refusal);
    parts_.log.write({Log::Level::error, "babel-prefix-refused", place,
                      who + " may not announce " + to_string(event.prefix) + ": " + refused.reason},
                     now);
}

// ---- views ----

std::vector<Routers::PlaceView> Routers::places() const {
    std::vector<PlaceView> views;
    views.reserve(places_.size());
    for (const auto& [id, active] : places_)
        views.push_back({active.place, active.refused});
    return views;
}

}  // namespace meshgate::control::site_routers
