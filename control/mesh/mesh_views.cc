// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/mesh_views.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "control/mesh/diagnosis.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;
using control::LinkView;

// A box that has just started is no problem yet.
constexpr auto kPatience = 10s;

double seconds(Time::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

LinkView::Origin origin_of(LinkOrigin origin) noexcept {
    switch (origin) {
        case LinkOrigin::network_file:
            return LinkView::Origin::network_file;
        case LinkOrigin::heard:
            return LinkView::Origin::heard;
        case LinkOrigin::candidate:
            break;
    }
    return LinkView::Origin::candidate;
}

using control::ExplainView;
using Verdict = ExplainView::Verdict;

}  // namespace

std::vector<control::ResultCount> MeshViews::events() const {
    std::vector<control::ResultCount> result;
    const auto add = [&result]<typename Counter>(const char* part, const auto& owner,
                                                 Counter last) {
        for (size_t i = 0; i < static_cast<size_t>(last); ++i) {
            const auto counter = static_cast<Counter>(i);
            result.push_back(
                {std::string{part} + "_" + to_string(counter), owner.counter(counter)});
        }
    };
    add("babel", parts_.prober.speaker(), babel::Counter::nb_counters);
    add("relay", parts_.relays, RelayCounter::nb_counters);
    add("file", parts_.exchange.files(), FileCounter::nb_counters);
    add("client", parts_.exchange.roaming(), ClientCounter::nb_counters);
    add("published", parts_.relayed_clients, RelayedClientsCounter::nb_counters);
    result.push_back({"message_undecodable", parts_.channel.nb_undecodable()});
    return result;
}

std::vector<std::string> MeshViews::problems(const Now& now) const {
    std::vector<std::string> result;
    if (!parts_.members.self())
        result.push_back("this box is no member of network " + parts_.members.network().name +
                         ", version " + std::to_string(parts_.members.network().version));
    for (const auto& [node, member] : parts_.members.all()) {
        const bool missed = member->info.relay && !member->is_up();
        if (missed && now.mono - created_ > kPatience)
            result.push_back("relay " + member->info.name + " is not reached: meshgate explain " +
                             member->info.name);
    }
    return result;
}

std::vector<LinkView> MeshViews::links(const Now& now) const {
    std::map<LinkId, babel::NeighborView> measured;
    for (const babel::NeighborView& neighbor : parts_.prober.speaker().neighbors())
        measured[neighbor.id.interface] = neighbor;
    std::vector<LinkView> result;
    for (const auto& [node, member] : parts_.members.all()) {
        for (const auto& [key, link] : parts_.links.of(*member)) {
            LinkView view;
            view.peer = member->info.name;
            view.remote = key.remote;
            view.origin = origin_of(link.origin);
            if (const auto* terms = parts_.port_terms.of(key.port)) {
                view.port = terms->name;
                view.metered = terms->metered;
            }
            view.in_use = member->path && member->path->via.link == link.id;
            view.age_s = link.heard ? seconds(now.mono - *link.heard) : -1;
            view.cost = babel::kInfinity;
            view.state = LinkView::State::idle;
            if (const auto interval = parts_.prober.interval_of(link.id)) {
                view.state = LinkView::State::probing;
                view.probe_interval_ms = static_cast<uint32_t>(seconds(*interval) * 1000);
            }
            if (const auto found = measured.find(link.id); found != measured.end()) {
                const babel::NeighborView& neighbor = found->second;
                view.state = neighbor.up ? LinkView::State::up : LinkView::State::down;
                view.cost = neighbor.cost;
                view.loss = neighbor.loss;
                if (neighbor.rtt_known) {
                    view.rtt_p50_ms = neighbor.rtt_p50_us / 1000.0;
                    view.jitter_ms = neighbor.rtt_jitter_us / 1000.0;
                }
            }
            result.push_back(std::move(view));
        }
    }
    return result;
}

control::SessionState MeshViews::session_state(const Member& member) const {
    if (parts_.channel.can_send(member))
        return control::SessionState::up;
    const auto view = parts_.device.peer_view(member.peer);
    const bool trying = member.has_session() || (view && view->handshake_in_progress);
    return trying ? control::SessionState::handshaking : control::SessionState::none;
}

control::MeshPathView MeshViews::path_view(const Member& member, const Now& now) const {
    control::MeshPathView view;
    view.peer = member.info.name;
    view.metric = babel::kInfinity;
    view.session = session_state(member);
    if (!member.path)
        return view;
    const PathChoice& path = *member.path;
    const bool direct = path.via.node == member.node;
    view.kind = direct ? control::PathKind::direct : control::PathKind::relay;
    if (!direct)
        view.relay = parts_.members.name_at(path.via.node);
    const LinkKey& key = parts_.underlay.key_of(path.via.link);
    if (const auto* terms = parts_.port_terms.of(key.port))
        view.port = terms->name;
    view.remote = key.remote;
    view.metric = path.metric;
    view.since_s = seconds(now.mono - parts_.paths.since(member).value_or(now.mono));
    if (const Link* link = parts_.underlay.find(path.via.link)) {
        view.mtu_bytes = parts_.dataplane.path_mtu(member.peer);
        if (view.mtu_bytes < link->mtu_bytes || (!direct && parts_.paths.is_mtu_measured(member)))
            view.mtu_origin = control::MtuOrigin::probe;
        else if (parts_.underlay.is_mtu_told(*link))
            view.mtu_origin = control::MtuOrigin::router;
    }
    return view;
}

std::vector<control::MeshPathView> MeshViews::paths(const Now& now) const {
    std::vector<control::MeshPathView> result;
    for (const config::Member& info : parts_.members.network().members) {
        if (const Member* member = parts_.members.at(parts_.members.node_of(info)))
            result.push_back(path_view(*member, now));
    }
    return result;
}

std::optional<control::MeshPathView> MeshViews::path_of(PeerId peer, const Now& now) const {
    const Member* member = parts_.members.of(peer);
    if (member == nullptr)
        return std::nullopt;
    return path_view(*member, now);
}

std::vector<control::MemberView> MeshViews::members(const Now& now) const {
    using MemberState = control::MemberView::State;
    std::vector<control::MemberView> result;
    for (const config::Member& info : parts_.members.network().members) {
        control::MemberView view;
        view.name = info.name;
        view.public_key = info.public_key;
        view.node_address = parts_.members.node_of(info);
        view.self = info.public_key == parts_.members.public_key();
        view.relay = info.relay;
        view.prefixes = info.prefixes;
        for (const config::MemberEndpoint& endpoint : info.endpoints)
            view.endpoints.push_back(endpoint.text);
        view.tags = info.tags;
        view.state = view.self ? MemberState::self : MemberState::down;
        view.network_version = view.self ? parts_.members.network().version : 0;
        if (const Member* found = parts_.members.at(view.node_address)) {
            const Member& member = *found;
            view.network_version = member.network_version;
            const bool quiet =
                !parts_.members.is_eager(member) && !MemberTable::is_active(member, now.mono);
            if (member.is_up())
                view.state = MemberState::up;
            else if (quiet)
                view.state = MemberState::idle;
        }
        result.push_back(std::move(view));
    }
    return result;
}

std::vector<control::RelayView> MeshViews::relays(const Now& now) const {
    using control::RelayView;
    const auto name = [this](const IpAddress& node) {
        const std::string known = parts_.members.name_at(node);
        return known == "?" ? to_string(node) : known;
    };
    std::vector<RelayView> result;
    for (const RelayEntryView& entry : parts_.relays.entries()) {
        if (entry.target == parts_.members.node())
            continue;  // ends here: nothing is forwarded
        const bool relayed = entry.next_hop && entry.next_hop->node != entry.target;
        RelayView view;
        view.to = name(entry.target);
        view.index = entry.index;
        view.via = relayed ? name(entry.next_hop->node) : "";
        view.state = entry.asking     ? RelayView::State::asking
                     : entry.next_hop ? RelayView::State::open
                                      : RelayView::State::closed;
        view.expires_s = entry.expires == kNever
                             ? 0
                             : std::chrono::duration<double>(entry.expires - now.mono).count();
        if (entry.own && (relayed || entry.asking)) {
            view.role = RelayView::Role::using_;
            view.from = parts_.members.self() ? parts_.members.self()->name : "";
            result.push_back(view);
        }
        for (const IpAddress& owner : entry.owners) {
            view.role = RelayView::Role::serving;
            view.from = name(owner);
            result.push_back(view);
        }
    }
    return result;
}

std::vector<ExplainView::Relay> MeshViews::relays_to(const Member& member) const {
    std::vector<ExplainView::Relay> result;
    for (const Prefix& prefix : {Prefix{member.node, 128}, parts_.members.node_prefix()}) {
        for (const babel::RouteView& route : parts_.prober.speaker().routes(prefix)) {
            const Member* hop = parts_.links.member_of(route.via.interface);
            if (hop != nullptr && hop != &member)
                result.push_back({.name = hop->info.name,
                                  .metric = route.metric,
                                  .to_all = prefix.len != 128,
                                  .avoided = parts_.paths.is_held_down(member, hop->node)});
        }
    }
    return result;
}

std::optional<ExplainView> MeshViews::explain(const std::string& name, const Now& now) const {
    ExplainView view;
    view.peer = name;
    view.listen_port = parts_.underlay.listen_port();
    if (parts_.members.self() && parts_.members.self()->name == name) {
        view.verdict = Verdict::self;
        return view;
    }
    const Member* found = parts_.members.named(name);
    if (found == nullptr)
        return std::nullopt;
    const Member& member = *found;
    view.path = path_view(member, now);
    if (!member.has_session())
        view.verdict = parts_.members.is_eager(member) ? Verdict::no_session : Verdict::idle;
    else if (view.path.kind == control::PathKind::none)
        view.verdict = Verdict::no_path;
    else
        view.verdict =
            view.path.kind == control::PathKind::direct ? Verdict::direct : Verdict::relayed;
    if (view.verdict == Verdict::relayed)
        view.rtt_ms = parts_.paths.rtt_ms(member);
    for (const config::MemberEndpoint& endpoint : member.info.endpoints)
        view.endpoints.push_back(endpoint.text);
    view.links = links(now);
    const bool others_up = any_up(view.links);
    std::erase_if(view.links, [&](const LinkView& link) { return link.peer != name; });
    view.relays = relays_to(member);
    view.cause = cause_of(view, others_up);
    view.cures = cures_of(view);
    const auto next = parts_.candidates.next_try(member);
    if (!view.cures.empty() && next && *next > now.mono)
        view.next_try_s = seconds(*next - now.mono);
    return view;
}

}  // namespace meshgate::mesh
