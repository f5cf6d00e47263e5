// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>
#include <tuple>

#include "control/api/metrics_writer.h"

namespace meshgate::control::metrics {
namespace {

// A link is its port and its endpoint, so the endpoint is a label here, and only here: no counter
// has it.
Labels link_labels(const LinkView& link) {
    return {{"peer", link.peer}, {"port", link.port}, {"remote", to_string(link.remote)}};
}

// The same sample twice would cost the whole scrape.
std::vector<LinkView> without_doubles(std::vector<LinkView> links) {
    std::set<std::tuple<std::string, std::string, Endpoint>> seen;
    std::erase_if(links, [&](const LinkView& link) {
        return !seen.emplace(link.peer, link.port, link.remote).second;
    });
    return links;
}

void write_links(const Writer& writer, const std::vector<LinkView>& links) {
    writer.each_gauge("meshgate_link_up", "1 when the link carries packets both ways.", links,
                      link_labels,
                      [](const LinkView& l) { return l.state == LinkView::State::up ? 1 : 0; });
    writer.each_gauge("meshgate_link_in_use", "1 when it is the way to its peer now.", links,
                      link_labels, [](const LinkView& l) { return l.in_use ? 1 : 0; });
    writer.each_gauge("meshgate_link_loss_ratio", "Share of probes that were lost, 0 to 1.", links,
                      link_labels, [](const LinkView& l) { return l.loss; });
    writer.each_gauge("meshgate_link_cost", "What the routing counts for it; 65535 is infinite.",
                      links, link_labels, [](const LinkView& l) { return l.cost; });
    Family rtt = writer.gauge("meshgate_link_rtt_seconds", "Median round trip of its probes.");
    Family jitter = writer.gauge("meshgate_link_jitter_seconds", "How much its delay varies.");
    for (const LinkView& link : links) {
        if (link.rtt_p50_ms)
            rtt.add(link_labels(link), *link.rtt_p50_ms / 1000);
        if (link.jitter_ms)
            jitter.add(link_labels(link), *link.jitter_ms / 1000);
    }
}

void write_members(const Writer& writer, const std::vector<MemberView>& members) {
    std::map<MemberView::State, size_t> nb_in_state;
    for (const MemberView& member : members)
        ++nb_in_state[member.state];
    Family states = writer.gauge("meshgate_members", "Members of the network, by state.");
    for (const auto& [state, nb_members] : nb_in_state)
        states.add({{"state", to_string(state)}}, nb_members);
}

void write_relays(const Writer& writer, const std::vector<RelayView>& relays) {
    std::map<RelayView::Role, size_t> nb_in_role{{RelayView::Role::serving, 0},
                                                 {RelayView::Role::using_, 0}};
    for (const RelayView& relay : relays)
        ++nb_in_role[relay.role];
    Family entries = writer.gauge("meshgate_relay_entries",
                                  "Receiver indices that are forwarded: by this box (serving) or "
                                  "by others for it (using).");
    for (const auto& [role, nb_entries] : nb_in_role)
        entries.add({{"role", to_string(role)}}, nb_entries);
}

}  // namespace

// One label set for the family: a peer of the box file has no relay.
void write_peer_paths(const Writer& writer, const std::vector<PeerView>& peers,
                      const std::vector<MeshPathView>& paths) {
    Family family = writer.gauge("meshgate_peer_path", "How the peer's datagrams travel now.");
    std::set<std::string> seen;
    for (const MeshPathView& path : paths) {
        if (seen.insert(path.peer).second)
            family.add({{"peer", path.peer},
                        {"path", to_string(path.kind)},
                        {"wan", path.port},
                        {"relay", path.relay}},
                       1);
    }
    for (const PeerView& peer : peers) {
        if (seen.insert(peer.name).second)
            family.add({{"peer", peer.name},
                        {"path", to_string(peer.path)},
                        {"wan", peer.via},
                        {"relay", ""}},
                       1);
    }
}

void write_mesh(const Writer& writer, StateProvider& state) {
    const std::optional<NetworkView> network = state.network();
    if (!network)
        return;
    writer.gauge("meshgate_network_info", "The network that the box is a member of.")
        .add({{"network", network->name}, {"authority", network->authority}}, 1);
    writer
        .counter("meshgate_network_alarms_total",
                 "Announcements and network files of members that they had no right to.")
        .add({}, network->alarms);
    Family events = writer.counter("meshgate_mesh_events_total",
                                   "What the protocols between boxes did and refused.");
    for (const ResultCount& event : network->events)
        events.add({{"event", event.result}}, event.count);
    writer.single("meshgate_network_version", "Version of the network file in force.",
                  network->version);
    write_members(writer, state.members());
    write_links(writer, without_doubles(state.links()));
    write_relays(writer, state.relays());
}

}  // namespace meshgate::control::metrics
