// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/link_prober.h"

#include <sodium.h>

#include <algorithm>
#include <utility>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;
using Duration = Time::duration;

// Hello intervals. A link that users' packets take: three misses are the most that an outage lasts.
constexpr Duration kIntervalInUse = 200ms;
// A link that only the other end uses: its probes are what the other end watches. Not the same
// interval, or two ends would keep each other awake.
constexpr Duration kIntervalForThem = 210ms;
// A standby link.
constexpr Duration kIntervalIdle = 2s;
// Where nobody answers.
constexpr Duration kIntervalSilent = 10s;
// A new link, or one after a silence, is probed as if it were in use: there may be no other.
constexpr Duration kFresh = 3s;
// One that came back is longer: what it lost before has to be outweighed.
constexpr Duration kFreshAfterOutage = 10s;
// A link that nobody has answered on for so long is silent.
constexpr Duration kSilentAfter = 15s;
// The same between boxes that always keep a session: they look for each other a while longer.
constexpr Duration kSilentAfterEager = 10min;
// Not heard for so long: the next packet of the link makes it fresh.
constexpr Duration kQuiet = 5s;
// After users' last packet a link counts as in use.
constexpr Duration kInUseFor = 10s;
// Of a link that is not in the network file, after it was last heard.
constexpr Duration kLinkLife = 90s;
// A member may not fill our link table.
constexpr size_t kMaxLinksPerMember = 32;

}  // namespace

const char* to_string(LinkOrigin origin) noexcept {
    switch (origin) {
        case LinkOrigin::network_file:
            return "network file";
        case LinkOrigin::heard:
            return "heard";
        case LinkOrigin::candidate:
            return "candidate";
    }
    return "?";
}

LinkProber::LinkProber(Dataplane& dataplane, control::Links& links, const MemberTable& members,
                       LinkUser& user)
    : dataplane_{dataplane},
      links_{links},
      members_{members},
      user_{user},
      speaker_{{.fill_random = [](auto bytes) { randombytes_buf(bytes.data(), bytes.size()); },
                .router_id = std::nullopt,
                .policy = this}} {}

// ---- what may be announced ----

// A member speaks for itself; a relay also for other members, whom it forwards to.
bool LinkProber::may_announce(const babel::NeighborId& neighbor, const Prefix& prefix) const {
    const Member* member = member_of_link(neighbor.interface);
    if (member == nullptr)
        return false;
    if (prefix == Prefix{member->node, 128})
        return true;
    if (!member->info.relay)
        return false;
    if (prefix == members_.node_prefix())
        return true;
    return prefix.len == 128 &&
           (members_.at(prefix.address) != nullptr || prefix.address == members_.node());
}

babel::Announce LinkProber::announce_to(const Member& member) const {
    if (!members_.is_relay())
        return babel::Announce::own_only;
    return member.info.relay ? babel::Announce::everything : babel::Announce::aggregates;
}

babel::CostOptions LinkProber::cost_of(const LinkKey& key) const {
    babel::CostOptions cost = babel::CostOptions::tunnel();
    if (const PortTerms* terms = terms_of(key.port)) {
        cost.bias = terms->cost_bias;
        cost.metered = terms->metered;
    }
    return cost;
}

// ---- configuration ----

void LinkProber::set_ports(const config::Model& box, Time now) {
    port_terms_.clear();
    for (size_t i = 0; i < box.ports.size(); ++i) {
        const config::Port& port = box.ports[i];
        port_terms_[static_cast<PortId>(i)] = {port.name, port.cost_bias, port.metered};
    }
    for (const auto& [node, member] : members_.all()) {
        for (const auto& [key, link] : by_member_[node]) {
            if (link.probed)
                speaker_.set_cost(link.id, cost_of(key), now);
        }
        make_links(*member, now);
    }
}

void LinkProber::set_addresses(const std::string& host, const std::vector<IpAddress>& addresses,
                               Time now) {
    addresses_[host] = addresses;
    for (const auto& [node, member] : members_.all())
        make_links(*member, now);
}

void LinkProber::on_network_changed(Time now) {
    if (members_.self()) {
        speaker_.originate({members_.node(), 128}, babel::Scope::everywhere, now);
        if (members_.is_relay())
            speaker_.originate(members_.node_prefix(), babel::Scope::aggregate, now);
        else
            speaker_.withdraw(members_.node_prefix(), now);
    }
    // Who hears what from us depends on who is a relay.
    for (const auto& [node, member] : members_.all()) {
        make_links(*member, now);
        for (const auto& [key, link] : by_member_[node])
            speaker_.set_announce(link.id, announce_to(*member), now);
    }
    speaker_.on_policy_changed(now);
}

void LinkProber::shutdown() {
    speaker_.shutdown();
    shut_down_ = true;
}

// ---- links ----

bool LinkProber::is_wanted(const Member& member, Time now) const {
    return members_.is_eager(member) || member.has_session() || MemberTable::is_active(member, now);
}

void LinkProber::make_links(const Member& member, Time now) {
    if (!members_.self() || !is_wanted(member, now))
        return;
    for (const Endpoint& endpoint : endpoints_of(member)) {
        for (const UnderlayPort& port : links_.ports())
            add_link(member, {port.id, endpoint}, LinkOrigin::network_file, now);
    }
}

// Of the network file, names as far as they are known.
std::vector<Endpoint> LinkProber::endpoints_of(const Member& member) const {
    std::vector<Endpoint> result;
    for (const config::MemberEndpoint& endpoint : member.info.endpoints) {
        if (endpoint.literal)
            result.push_back(*endpoint.literal);
        const auto found = addresses_.find(endpoint.host);
        if (endpoint.literal || found == addresses_.end())
            continue;
        for (const IpAddress& address : found->second)
            result.push_back({address, endpoint.port});
    }
    return result;
}

MemberLink* LinkProber::add_link(const Member& member, const LinkKey& key, LinkOrigin origin,
                                 Time now) {
    LinksOfMember& links = by_member_[member.node];
    if (const auto found = links.find(key); found != links.end())
        return &found->second;
    if (links.size() >= kMaxLinksPerMember || !links_.has_way(key))
        return nullptr;
    const LinkId id = links_.add(key, now);
    if (id == kNoLink)
        return nullptr;
    // One endpoint is one box: what another member has is not this one's. Unless it only says so:
    // or it could keep the others from being reached.
    if (const Member* holder = member_of_link(id)) {
        const MemberLink& theirs = by_member_[holder->node].at(key);
        if (theirs.heard || theirs.origin != LinkOrigin::candidate ||
            origin == LinkOrigin::candidate) {
            links_.remove(id);
            return nullptr;
        }
        remove_link(*holder, key, now);
    }
    by_link_[id] = members_.at(member.node);
    MemberLink& link = links[key];
    link.id = id;
    link.origin = origin;
    link.added = now;
    return &link;
}

void LinkProber::remove_link(const Member& member, const LinkKey& key, Time now) {
    LinksOfMember& links = by_member_[member.node];
    const auto found = links.find(key);
    if (found == links.end())
        return;
    const LinkId id = found->second.id;
    set_probing(member, found->second, false, now);
    by_link_.erase(id);
    user_.on_link_gone(id, now);
    links_.remove(id);
    links.erase(found);
    links_changed_ = true;
}

void LinkProber::remove_links(const Member& member, Time now) {
    while (!by_member_[member.node].empty())
        remove_link(member, LinkKey{by_member_[member.node].begin()->first}, now);
    by_member_.erase(member.node);
    speaker_.unwant({member.node, 128});
}

// Links that nobody vouches for any more: not in the network file, and long silent; or the port
// has no way there.
void LinkProber::remove_stale_links(const Member& member, Time now) {
    std::vector<LinkKey> stale;
    const std::vector<Endpoint> in_file = endpoints_of(member);
    for (const auto& [key, link] : links_of(member)) {
        const bool silent = now - link.heard.value_or(link.added) > kLinkLife;
        const bool is_path = member.path && member.path->via.link == link.id;
        if (is_path && links_.has_way(key))
            continue;
        if (!links_.has_way(key) || !is_wanted(member, now) ||
            (silent && std::ranges::count(in_file, key.remote) == 0))
            stale.push_back(key);
    }
    for (const LinkKey& key : stale)
        remove_link(member, key, now);
}

void LinkProber::probe_candidates(const Member& member, const std::vector<Endpoint>& endpoints,
                                  Time now) {
    for (const Endpoint& endpoint : endpoints) {
        for (const UnderlayPort& port : links_.ports()) {
            MemberLink* link = add_link(member, {port.id, endpoint}, LinkOrigin::candidate, now);
            if (link == nullptr || link->heard)
                continue;
            set_probing(member, *link, false, now);
            set_probing(member, *link, true, now);
        }
    }
}

void LinkProber::stop_probing(const Member& member, Time now) {
    for (auto& [key, link] : by_member_[member.node])
        set_probing(member, link, false, now);
}

void LinkProber::set_probing(const Member& member, MemberLink& link, bool on, Time now) {
    if (link.probed == on)
        return;
    link.probed = on;
    if (!on) {
        speaker_.remove_interface(link.id, now);
        links_changed_ = true;
        return;
    }
    auto options = babel::InterfaceOptions::tunnel(members_.link_local(), member.link_local,
                                                   announce_to(member));
    options.cost = cost_of(links_.key_of(link.id));
    options.hello_interval = kIntervalInUse;
    link.interval = kIntervalInUse;
    link.added = now;
    link.fresh_until = now + kFresh;
    speaker_.add_interface(link.id, options, {}, now);
}

// ---- time ----

std::set<IpAddress> LinkProber::find_used_links(Time now) {
    fast_for_them_.clear();
    std::set<IpAddress> up;
    for (const babel::NeighborView& neighbor : speaker_.neighbors()) {
        const Member* member = member_of_link(neighbor.id.interface);
        if (neighbor.up && member != nullptr)
            up.insert(member->node);
        if (neighbor.hello_interval > Duration{} && neighbor.hello_interval < kIntervalForThem)
            fast_for_them_.insert(neighbor.id.interface);
    }
    used_links_.clear();
    for (const auto& [node, member] : members_.all()) {
        if (member->path && member->traffic.since(now - kInUseFor))
            used_links_.insert(member->path->via.link);
        for (auto& [key, link] : by_member_[node]) {
            const uint64_t nb_relayed = dataplane_.link_activity(link.id).relayed_packets;
            if (nb_relayed != std::exchange(link.nb_relayed, nb_relayed))
                link.relayed_at = now;
            if (link.relayed_at && now - *link.relayed_at < kInUseFor)
                used_links_.insert(link.id);
        }
    }
    return up;
}

void LinkProber::review(const Member& member, bool probe, Time now) {
    for (auto& [key, link] : by_member_[member.node])
        set_probing(member, link, probe, now);
    if (probe && !members_.is_eager(member))
        speaker_.want({member.node, 128}, now);
    if (!probe)
        speaker_.unwant({member.node, 128});
    set_intervals(member, now);
}

void LinkProber::set_intervals(const Member& member, Time now) {
    const Duration patience = members_.is_eager(member) ? kSilentAfterEager : kSilentAfter;
    for (auto& [key, link] : by_member_[member.node]) {
        if (!link.probed)
            continue;
        Duration wanted = kIntervalIdle;
        if (used_links_.contains(link.id) || now < link.fresh_until)
            wanted = kIntervalInUse;
        else if (fast_for_them_.contains(link.id))
            wanted = kIntervalForThem;
        else if (now - link.heard.value_or(link.added) > patience)
            wanted = kIntervalSilent;
        if (wanted == link.interval)
            continue;
        link.interval = wanted;
        speaker_.set_hello_interval(link.id, wanted, now);
    }
}

// ---- events ----

void LinkProber::receive(const Member& member, const LinkKey& from, const babel::Flow& flow,
                         std::span<const uint8_t> bytes, Time now) {
    MemberLink* link = add_link(member, from, LinkOrigin::heard, now);
    if (link == nullptr)
        return;
    // After a silence it has to prove itself, and fast: others may have no other way.
    if (!link->heard || now - *link->heard > kQuiet)
        link->fresh_until = std::max(link->fresh_until, now + kFresh);
    link->heard = now;
    if (link->probed && !shut_down_)
        speaker_.receive({.interface = link->id, .flow = flow, .bytes = bytes}, now);
}

void LinkProber::on_link_up(LinkId id, Time now) {
    const Member* member = member_of_link(id);
    if (member == nullptr)
        return;
    for (auto& [key, link] : by_member_[member->node]) {
        if (link.id == id)
            link.fresh_until = now + kFreshAfterOutage;
    }
}

// The next best link may share the fault, and Hellos on idle links are far apart. Of those by our
// port, relays' alone: they are few, and stand in.
void LinkProber::suspect_shared_links(LinkId id, Time now) {
    const PortId port = links_.key_of(id).port;
    const Member* failed = member_of_link(id);
    for (const auto& [node, member] : members_.all()) {
        for (const auto& [key, link] : links_of(*member)) {
            if (link.id != id && link.probed &&
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

const LinkProber::LinksOfMember& LinkProber::links_of(const Member& member) const {
    static const LinksOfMember kNone;
    const auto found = by_member_.find(member.node);
    return found == by_member_.end() ? kNone : found->second;
}

Member* LinkProber::member_of_link(LinkId id) const {
    const auto found = by_link_.find(id);
    return found == by_link_.end() ? nullptr : found->second;
}

bool LinkProber::is_up(const IpAddress& node) const {
    return std::ranges::any_of(speaker_.neighbors(), [&](const babel::NeighborView& neighbor) {
        const Member* member = member_of_link(neighbor.id.interface);
        return neighbor.up && member != nullptr && member->node == node;
    });
}

Route LinkProber::route_of(const babel::RouteView& route) const {
    const Member* hop = member_of_link(route.via.interface);
    return {.via = {route.via.interface, hop == nullptr ? IpAddress{} : hop->node},
            .metric = hop == nullptr ? babel::kInfinity : route.metric,
            .feasible = route.feasible,
            .selected = route.selected};
}

Routes LinkProber::routes_to(const Member& member) const {
    Routes result;
    for (const babel::RouteView& route : speaker_.routes({member.node, 128}))
        result.to_node.push_back(route_of(route));
    for (const babel::RouteView& route : speaker_.routes(members_.node_prefix()))
        result.to_aggregate.push_back(route_of(route));
    return result;
}

std::set<LinkId> LinkProber::heard_since(Time time) const {
    std::set<LinkId> result;
    for (const auto& [node, links] : by_member_) {
        for (const auto& [key, link] : links) {
            if (link.heard && *link.heard > time)
                result.insert(link.id);
        }
    }
    return result;
}

std::set<std::string> LinkProber::hosts() const {
    std::set<std::string> result;
    for (const auto& [node, member] : members_.all()) {
        for (const config::MemberEndpoint& endpoint : member->info.endpoints) {
            if (!endpoint.host.empty())
                result.insert(endpoint.host);
        }
    }
    return result;
}

const LinkProber::PortTerms* LinkProber::terms_of(PortId port) const {
    const auto found = port_terms_.find(port);
    return found == port_terms_.end() ? nullptr : &found->second;
}

std::string LinkProber::describe(const LinkKey& key) const {
    const PortTerms* terms = terms_of(key.port);
    return (terms == nullptr ? "?" : terms->name) + " -> " + to_string(key.remote);
}

}  // namespace meshgate::mesh
