// SPDX-License-Identifier: Apache-2.0
// What can be seen of the mesh: enumerations and numbers; cli/ and the page make sentences of them.
#include <algorithm>

#include "control/mesh/mesh.h"

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
using Cause = ExplainView::Cause;
using Cure = ExplainView::Cure;

bool any_up(const std::vector<LinkView>& links) {
    return std::ranges::any_of(
        links, [](const LinkView& link) { return link.state == LinkView::State::up; });
}

// Why there is no direct link that works.
Cause cause_of_no_link(const ExplainView& view) {
    if (view.links.empty())
        return view.endpoints.empty() ? Cause::no_endpoint_known : Cause::no_way_to_endpoints;
    const bool heard =
        std::ranges::any_of(view.links, [](const LinkView& link) { return link.age_s >= 0; });
    return heard ? Cause::went_silent : Cause::never_answered;
}

// `others_up`: some link to any member works.
Cause cause_of(const ExplainView& view, bool others_up) {
    switch (view.verdict) {
        case Verdict::direct:
            return Cause::lowest_metric;
        case Verdict::relayed:
            return any_up(view.links) ? Cause::relay_is_better : cause_of_no_link(view);
        case Verdict::no_session:
        case Verdict::no_path:
            return others_up ? Cause::box_silent : Cause::own_uplink;
        default:
            return Cause::none;
    }
}

std::vector<Cure> cures_of(const ExplainView& view) {
    const bool public_box = !view.endpoints.empty();
    switch (view.cause) {
        case Cause::no_endpoint_known:
        case Cause::never_answered:
        case Cause::went_silent:
            if (public_box)
                return {Cure::check_endpoints, Cure::keep_source_port};
            return {Cure::open_port, Cure::keep_source_port, Cure::use_ipv6};
        case Cause::no_way_to_endpoints:
            return {Cure::use_ipv6, Cure::check_endpoints};
        case Cause::box_silent:
            if (public_box)
                return {Cure::check_box, Cure::check_endpoints};
            return {Cure::check_box};
        case Cause::own_uplink:
            return {Cure::check_own_ports};
        default:
            return {};
    }
}

}  // namespace

std::vector<control::ResultCount> Mesh::events() const {
    std::vector<control::ResultCount> result;
    const auto add = [&result]<typename Counter>(const char* part, const auto& owner,
                                                 Counter last) {
        for (size_t i = 0; i < static_cast<size_t>(last); ++i) {
            const auto counter = static_cast<Counter>(i);
            result.push_back(
                {std::string{part} + "_" + to_string(counter), owner.counter(counter)});
        }
    };
    add("babel", prober_.speaker(), babel::Counter::nb_counters);
    add("relay", relays_, RelayCounter::nb_counters);
    add("file", exchange_.files(), FileCounter::nb_counters);
    add("client", exchange_.roaming(), ClientCounter::nb_counters);
    add("published", relayed_clients_, RelayedClientsCounter::nb_counters);
    result.push_back({"message_undecodable", channel_.nb_undecodable()});
    return result;
}

std::vector<std::string> Mesh::problems(const Now& now) const {
    std::vector<std::string> result;
    if (!members_.self())
        result.push_back("this box is no member of network " + network_.name + ", version " +
                         std::to_string(network_.version));
    for (const auto& [node, member] : members_.all()) {
        const bool missed = member->info.relay && !(member->has_session() && member->path);
        if (missed && now.mono - created_ > kPatience)
            result.push_back("relay " + member->info.name + " is not reached: meshgate explain " +
                             member->info.name);
    }
    return result;
}

std::vector<LinkView> Mesh::link_views(const Now& now) const {
    std::map<LinkId, babel::NeighborView> measured;
    for (const babel::NeighborView& neighbor : prober_.speaker().neighbors())
        measured[neighbor.id.interface] = neighbor;
    std::vector<LinkView> result;
    for (const auto& [node, member] : members_.all()) {
        for (const auto& [key, link] : member_links_.of(*member)) {
            LinkView view;
            view.peer = member->info.name;
            view.remote = key.remote;
            view.origin = origin_of(link.origin);
            if (const auto* terms = port_terms_.of(key.port)) {
                view.port = terms->name;
                view.metered = terms->metered;
            }
            view.in_use = member->path && member->path->via.link == link.id;
            view.age_s = link.heard ? seconds(now.mono - *link.heard) : -1;
            view.cost = babel::kInfinity;
            view.state = LinkView::State::idle;
            if (const auto interval = prober_.interval_of(link.id)) {
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

control::SessionState Mesh::session_state(const Member& member) const {
    if (channel_.can_send(member))
        return control::SessionState::up;
    const auto view = parts_.device.peer_view(member.peer);
    const bool trying = member.has_session() || (view && view->handshake_in_progress);
    return trying ? control::SessionState::handshaking : control::SessionState::none;
}

control::MeshPathView Mesh::path_view(const Member& member, const Now& now) const {
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
        view.relay = members_.name_at(path.via.node);
    const LinkKey& key = links_.key_of(path.via.link);
    if (const auto* terms = port_terms_.of(key.port))
        view.port = terms->name;
    view.remote = key.remote;
    view.metric = path.metric;
    view.since_s = seconds(now.mono - paths_.since(member).value_or(now.mono));
    if (links_.find(path.via.link) != nullptr)
        view.mtu_bytes = parts_.dataplane.path_mtu(member.peer);
    return view;
}

std::vector<control::MeshPathView> Mesh::path_views(const Now& now) const {
    std::vector<control::MeshPathView> result;
    for (const config::Member& info : network_.members) {
        if (const Member* member = members_.at(members_.node_of(info)))
            result.push_back(path_view(*member, now));
    }
    return result;
}

std::optional<control::MeshPathView> Mesh::path_of(PeerId peer, const Now& now) const {
    const Member* member = members_.of(peer);
    if (member == nullptr)
        return std::nullopt;
    return path_view(*member, now);
}

size_t Mesh::nb_others_up() const {
    return static_cast<size_t>(std::ranges::count_if(members_.all(), [](const auto& entry) {
        return entry.second->has_session() && entry.second->path;
    }));
}

std::vector<control::MemberView> Mesh::member_views(const Now& now) const {
    using MemberState = control::MemberView::State;
    std::vector<control::MemberView> result;
    for (const config::Member& info : network_.members) {
        control::MemberView view;
        view.name = info.name;
        view.public_key = info.public_key;
        view.node_address = members_.node_of(info);
        view.self = info.public_key == members_.public_key();
        view.relay = info.relay;
        view.prefixes = info.prefixes;
        for (const config::MemberEndpoint& endpoint : info.endpoints)
            view.endpoints.push_back(endpoint.text);
        view.tags = info.tags;
        view.state = view.self ? MemberState::self : MemberState::down;
        view.network_version = view.self ? network_.version : 0;
        if (const Member* found = members_.at(view.node_address)) {
            const Member& member = *found;
            view.network_version = member.network_version;
            const bool quiet =
                !members_.is_eager(member) && !MemberTable::is_active(member, now.mono);
            if (member.has_session() && member.path)
                view.state = MemberState::up;
            else if (quiet)
                view.state = MemberState::idle;
        }
        result.push_back(std::move(view));
    }
    return result;
}

std::vector<control::RelayView> Mesh::relay_views(const Now& now) const {
    using control::RelayView;
    const auto name = [this](const IpAddress& node) {
        const std::string known = members_.name_at(node);
        return known == "?" ? to_string(node) : known;
    };
    std::vector<RelayView> result;
    for (const RelayEntryView& entry : relays_.entries()) {
        if (entry.target == members_.node())
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
            view.from = members_.self() ? members_.self()->name : "";
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

std::optional<ExplainView> Mesh::explain(const std::string& name, const Now& now) const {
    ExplainView view;
    view.peer = name;
    view.listen_port = links_.listen_port();
    if (members_.self() && members_.self()->name == name) {
        view.verdict = Verdict::self;
        return view;
    }
    const Member* found = members_.named(name);
    if (found == nullptr)
        return std::nullopt;
    const Member& member = *found;
    view.path = path_view(member, now);
    if (!member.has_session())
        view.verdict = members_.is_eager(member) ? Verdict::no_session : Verdict::idle;
    else if (view.path.kind == control::PathKind::none)
        view.verdict = Verdict::no_path;
    else
        view.verdict =
            view.path.kind == control::PathKind::direct ? Verdict::direct : Verdict::relayed;
    if (view.verdict == Verdict::relayed)
        view.rtt_ms = paths_.rtt_ms(member);
    for (const config::MemberEndpoint& endpoint : member.info.endpoints)
        view.endpoints.push_back(endpoint.text);
    view.links = link_views(now);
    const bool others_up = any_up(view.links);
    std::erase_if(view.links, [&](const LinkView& link) { return link.peer != name; });
    for (const Prefix& prefix : {Prefix{member.node, 128}, members_.node_prefix()}) {
        for (const babel::RouteView& route : prober_.speaker().routes(prefix)) {
            const Member* hop = member_links_.member_of(route.via.interface);
            if (hop != nullptr && hop != &member)
                view.relays.push_back({.name = hop->info.name,
                                       .metric = route.metric,
                                       .to_all = prefix.len != 128,
                                       .avoided = paths_.is_held_down(member, hop->node)});
        }
    }
    view.cause = cause_of(view, others_up);
    view.cures = cures_of(view);
    const auto next = candidates_.next_try(member.node);
    if (!view.cures.empty() && next && *next > now.mono)
        view.next_try_s = seconds(*next - now.mono);
    return view;
}

}  // namespace meshgate::mesh
