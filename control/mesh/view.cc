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
    add("babel", speaker_, babel::Counter::nb_counters);
    add("relay", relays_, RelayCounter::nb_counters);
    add("file", files_, FileCounter::nb_counters);
    add("client", clients_, ClientCounter::nb_counters);
    add("published", published_, PublishedCounter::nb_counters);
    result.push_back({"message_undecodable", nb_undecodable_});
    return result;
}

std::vector<std::string> Mesh::problems(const Now& now) const {
    std::vector<std::string> result;
    if (!self_)
        result.push_back("this box is no member of network " + network_.name + ", version " +
                         std::to_string(network_.version));
    for (const auto& [node, member] : members_) {
        const bool missed = member->info.relay && !(member->has_session() && member->steering);
        if (missed && now.mono - created_ > kPatience)
            result.push_back("relay " + member->info.name + " is not reached: meshgate explain " +
                             member->info.name);
    }
    return result;
}

std::vector<LinkView> Mesh::link_views(const Now& now) const {
    std::map<LinkId, babel::NeighborView> measured;
    for (const babel::NeighborView& neighbor : speaker_.neighbors())
        measured[neighbor.id.interface] = neighbor;
    std::vector<LinkView> result;
    for (const auto& [node, member] : members_) {
        for (const auto& [key, link] : member->links) {
            LinkView view;
            view.peer = member->info.name;
            view.remote = key.remote;
            view.origin = to_string(link.origin);
            if (const auto port = port_terms_.find(key.port); port != port_terms_.end()) {
                view.port = port->second.name;
                view.metered = port->second.metered;
            }
            view.in_use = member->steering && member->steering->link == link.id;
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
    if (has_session(member))
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
    if (!member.steering)
        return view;
    const Steering& way = *member.steering;
    const bool direct = way.hop == member.node;
    view.kind = direct ? "direct" : "relay";
    const auto hop = members_.find(way.hop);
    if (!direct && hop != members_.end())
        view.relay = hop->second->info.name;
    const LinkKey& key = links_.key_of(way.link);
    if (const auto port = port_terms_.find(key.port); port != port_terms_.end())
        view.port = port->second.name;
    view.remote = key.remote;
    view.metric = way.metric;
    view.since_s = seconds(now.mono - member.steered_at);
    if (links_.find(way.link) != nullptr)
        view.mtu_bytes = parts_.dataplane.path_mtu(member.peer);
    return view;
}

std::vector<control::MeshPathView> Mesh::path_views(const Now& now) const {
    std::vector<control::MeshPathView> result;
    for (const config::Member& info : network_.members) {
        const auto found = members_.find(config::node_address(authority_, info.public_key));
        if (found != members_.end())
            result.push_back(path_view(*found->second, now));
    }
    return result;
}

std::optional<control::MeshPathView> Mesh::path_of(PeerId peer, const Now& now) const {
    const auto found = by_peer_.find(peer);
    if (found == by_peer_.end())
        return std::nullopt;
    return path_view(*found->second, now);
}

std::vector<control::MemberView> Mesh::member_views(const Now& now) const {
    std::vector<control::MemberView> result;
    for (const config::Member& info : network_.members) {
        control::MemberView view;
        view.name = info.name;
        view.public_key = info.public_key;
        view.node_address = config::node_address(authority_, info.public_key);
        view.self = info.public_key == public_key_;
        view.relay = info.relay;
        view.prefixes = info.prefixes;
        for (const config::MemberEndpoint& endpoint : info.endpoints)
            view.endpoints.push_back(endpoint.text);
        view.tags = info.tags;
        view.state = view.self ? "self" : "down";
        view.network_version = view.self ? network_.version : 0;
        if (const auto found = members_.find(view.node_address); found != members_.end()) {
            const Member& member = *found->second;
            view.network_version = member.network_version;
            const bool quiet = !is_eager(member) && !is_active(member, now.mono);
            if (member.has_session() && member.steering)
                view.state = "up";
            else if (quiet)
                view.state = "idle";
        }
        result.push_back(std::move(view));
    }
    return result;
}

// In words: how it goes now, which ways there are, why this one, and what would have to change.
std::optional<control::ExplainView> Mesh::explain(const std::string& name, const Now& now) const {
    if (self_ && self_->name == name)
        return control::ExplainView{.peer = name, .lines = {name + " is this box."}};
    const auto found = std::ranges::find_if(
        members_, [&](const auto& entry) { return entry.second->info.name == name; });
    if (found == members_.end())
        return std::nullopt;
    const Member& member = *found->second;
    control::ExplainView view{.peer = name, .lines = {}};
    const auto say = [&view](std::string line) { view.lines.push_back(std::move(line)); };
    const bool direct = member.steering && member.steering->hop == member.node;
    const auto relay = member.steering ? members_.find(member.steering->hop) : members_.end();
    if (!member.has_session())
        say(name + (is_eager(member) ? " has NO SESSION: no handshake was answered."
                                     : " is IDLE: nobody talks to it; a session comes up with the "
                                       "first packet."));
    else if (!member.steering)
        say(name + " has a session, but NO PATH: no way there works.");
    else if (direct)
        say(name + " is DIRECT, " + describe(links_.key_of(member.steering->link)) + ", metric " +
            std::to_string(member.steering->metric) + ".");
    else
        say(name + " is RELAYED by " + (relay == members_.end() ? "?" : relay->second->info.name) +
            ", metric " + std::to_string(member.steering->metric) +
            (member.path_rtt_ms ? number(", %.1f ms end to end", *member.path_rtt_ms) : "") + ".");
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
    for (const Prefix& prefix : {Prefix{member.node, 128}, node_prefix_}) {
        for (const babel::RouteView& route : speaker_.routes(prefix)) {
            const auto hop = by_link_.find(route.via.interface);
            if (hop == by_link_.end() || hop->second == &member)
                continue;
            const auto suspicion = member.suspected.find(hop->second->node);
            std::string text = "  relay " + hop->second->info.name + "  ";
            if (route.metric == babel::kInfinity)
                text += "announces no way any more";
            else
                text += "metric " + std::to_string(route.metric) +
                        (prefix.len == 128 ? "" : " to itself; it forwards to all members");
            if (suspicion != member.suspected.end() && suspicion->second.active)
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
        if (member.next_candidates > now.mono)
            say(number("Next try in %.0f s.", seconds(member.next_candidates - now.mono)));
    }
    return view;
}

}  // namespace meshgate::mesh
