// SPDX-License-Identifier: Apache-2.0
// What can be seen of the mesh, and in words.
#include <algorithm>
#include <cstdio>

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

std::string number(const char* format, double value) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), format, value);
    return text.data();
}

std::string measured(const LinkView& link) {
    std::string text = link.rtt_p50_ms ? number("%.1f ms", *link.rtt_p50_ms) : "no answer yet";
    if (link.loss >= 0.005)
        text += number(", %.0f %% lost", link.loss * 100);
    if (link.cost != babel::kInfinity)
        text += ", cost " + std::to_string(link.cost);
    if (link.metered)
        text += ", metered";
    return text;
}

std::string ago(double age_s) {
    return age_s < 0 ? "never heard of" : number("last heard of %.1f s ago", age_s);
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
        for (const auto& [key, link] : prober_.links_of(*member)) {
            LinkView view;
            view.peer = member->info.name;
            view.remote = key.remote;
            view.origin = to_string(link.origin);
            if (const auto* terms = prober_.terms_of(key.port)) {
                view.port = terms->name;
                view.metered = terms->metered;
            }
            view.in_use = member->path && member->path->via.link == link.id;
            view.age_s = link.heard ? seconds(now.mono - *link.heard) : -1;
            view.cost = babel::kInfinity;
            view.state = link.probed ? "probing" : "idle";
            if (link.probed)
                view.probe_interval_ms = static_cast<uint32_t>(seconds(link.interval) * 1000);
            if (const auto found = measured.find(link.id); found != measured.end()) {
                const babel::NeighborView& neighbor = found->second;
                view.state = neighbor.up ? "up" : "down";
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
    view.kind = "none";
    view.metric = babel::kInfinity;
    view.session = session_state(member);
    if (!member.path)
        return view;
    const PathChoice& path = *member.path;
    const bool direct = path.via.node == member.node;
    view.kind = direct ? "direct" : "relay";
    if (!direct)
        view.relay = members_.name_at(path.via.node);
    const LinkKey& key = links_.key_of(path.via.link);
    if (const auto* terms = prober_.terms_of(key.port))
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

std::vector<control::MemberView> Mesh::member_views(const Now& now) const {
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
        view.state = view.self ? "self" : "down";
        view.network_version = view.self ? network_.version : 0;
        if (const Member* found = members_.at(view.node_address)) {
            const Member& member = *found;
            view.network_version = member.network_version;
            const bool quiet =
                !members_.is_eager(member) && !MemberTable::is_active(member, now.mono);
            if (member.has_session() && member.path)
                view.state = "up";
            else if (quiet)
                view.state = "idle";
        }
        result.push_back(std::move(view));
    }
    return result;
}

std::vector<control::RelayView> Mesh::relay_views(const Now& now) const {
    const auto name = [this](const IpAddress& node) {
        const std::string known = members_.name_at(node);
        return known == "?" ? to_string(node) : known;
    };
    std::vector<control::RelayView> result;
    for (const RelayEntryView& entry : relays_.entries()) {
        if (entry.target == members_.node())
            continue;  // ends here: nothing is forwarded
        const bool relayed = entry.next_hop && entry.next_hop->node != entry.target;
        control::RelayView view;
        view.to = name(entry.target);
        view.index = entry.index;
        view.via = relayed ? name(entry.next_hop->node) : "";
        view.state = entry.asking ? "asking" : entry.next_hop ? "open" : "closed";
        view.expires_s = entry.expires == kNever
                             ? 0
                             : std::chrono::duration<double>(entry.expires - now.mono).count();
        if (entry.own && (relayed || entry.asking)) {
            view.role = "using";
            view.from = members_.self() ? members_.self()->name : "";
            result.push_back(view);
        }
        for (const IpAddress& owner : entry.owners) {
            view.role = "serving";
            view.from = name(owner);
            result.push_back(view);
        }
    }
    return result;
}

// In words: how it goes now, which ways there are, why this one, and what would have to change.
std::optional<control::ExplainView> Mesh::explain(const std::string& name, const Now& now) const {
    if (members_.self() && members_.self()->name == name)
        return control::ExplainView{.peer = name, .lines = {name + " is this box."}};
    const Member* found = members_.named(name);
    if (found == nullptr)
        return std::nullopt;
    const Member& member = *found;
    control::ExplainView view{.peer = name, .lines = {}};
    const auto say = [&view](std::string line) { view.lines.push_back(std::move(line)); };
    const bool direct = member.path && member.path->via.node == member.node;
    if (!member.has_session())
        say(name + (members_.is_eager(member)
                        ? " has NO SESSION: no handshake was answered."
                        : " is IDLE: nobody talks to it; a session comes up with the "
                          "first packet."));
    else if (!member.path)
        say(name + " has a session, but NO PATH: no way there works.");
    else if (direct)
        say(name + " is DIRECT, " + prober_.describe(links_.key_of(member.path->via.link)) +
            ", metric " + std::to_string(member.path->metric) + ".");
    else
        say(name + " is RELAYED by " + members_.name_at(member.path->via.node) + ", metric " +
            std::to_string(member.path->metric) +
            (paths_.rtt_ms(member) ? number(", %.1f ms end to end", *paths_.rtt_ms(member)) : "") +
            ".");
    bool any_up = false;
    bool any_heard = false;
    size_t nb_links = 0;
    for (const LinkView& link : link_views(now)) {
        if (link.peer != name)
            continue;
        ++nb_links;
        any_up |= link.state == "up";
        any_heard |= link.age_s >= 0;
        say("  direct " + link.port + " -> " + to_string(link.remote) + "  " + link.state + ": " +
            measured(link) + ", " + ago(link.age_s) + " (" + link.origin + ")" +
            (link.in_use ? "  <- in use" : ""));
    }
    if (nb_links == 0)
        say(member.info.endpoints.empty()
                ? "  direct: no endpoint of it is known; the network file names none"
                : "  direct: no port of ours has a way to its endpoints");
    for (const Prefix& prefix : {Prefix{member.node, 128}, members_.node_prefix()}) {
        for (const babel::RouteView& route : prober_.speaker().routes(prefix)) {
            const Member* hop = prober_.member_of_link(route.via.interface);
            if (hop == nullptr || hop == &member)
                continue;
            std::string text = "  relay " + hop->info.name + "  ";
            if (route.metric == babel::kInfinity)
                text += "announces no way any more";
            else
                text += "metric " + std::to_string(route.metric) +
                        (prefix.len == 128 ? "" : " to itself; it forwards to all members");
            if (paths_.is_held_down(member, hop->node))
                text += ", avoided: it forwarded nothing";
            say(text);
        }
    }
    if (direct && any_up) {
        say("Why     the lowest metric of all ways that work; another has to be better by 1/8, and "
            "for some seconds.");
        return view;
    }
    if (any_up)
        say("Why     the direct links cost more than the relay: delay and loss count (1 ms about "
            "1.4, 1 % of loss 16).");
    else if (member.has_session() && nb_links > 0 && !any_heard)
        say("Cause   no probe on a direct link was ever answered: a NAT or firewall on one side "
            "lets nobody in.");
    else if (member.has_session() && nb_links > 0)
        say("Cause   the direct links went silent.");
    if (!any_up && member.has_session()) {
        say("Fix     any one of: open UDP " + std::to_string(links_.listen_port()) +
            " at one of the two sites and name it in the network file (endpoints); a NAT that "
            "keeps the source port; IPv6 on both sides.");
        if (const auto next = candidates_.next_try(member.node); next && *next > now.mono)
            say(number("Next try in %.0f s.", seconds(*next - now.mono)));
    }
    return view;
}

}  // namespace meshgate::mesh
