// SPDX-License-Identifier: Apache-2.0
// What the network file and the box file say, for the parts.
#include <utility>

#include "control/mesh/mesh.h"
#include "control/mesh/network_rules.h"

namespace meshgate::mesh {

// ---- the network file ----

void Mesh::apply(config::Network network, const config::SignedNetwork& file, const Now& now) {
    std::vector<uint8_t> bytes{file.signature.begin(), file.signature.end()};
    bytes.insert(bytes.end(), file.text.begin(), file.text.end());
    exchange_.files().set_current(network.version, std::move(bytes), now.mono);
    const MemberTable::Changes changes = members_.set_network(std::move(network));
    if (!members_.self())
        log(Log::Level::error, "not-a-member", members_.network().name,
            "our key is not in version " + std::to_string(members_.network().version) +
                " of the network file",
            now);
    for (const Member* member : changes.gone)
        remove_member(*member, now);
    for (const auto& [node, member] : members_.all())
        peers_.rename(member->peer, member->info.name);
    for (const config::Member& info : changes.fresh)
        add_member(info, now);
    exchange_.roaming().set_network(client_rules(members_), nodes_of(members_), now.mono);
    relayed_clients_.set_published(published_here(members_));
    relays_.set_members(relay_members(members_), now.mono);
    relays_.set_serving(members_.is_relay());
    links_.make_all(now.mono);
    prober_.on_network_changed(now.mono);
    next_review_ = now.mono;
    settle(now);
}

void Mesh::add_member(const config::Member& info, const Now& now) {
    const auto peer = peers_.add(info, members_.node_of(info), now);
    if (peer)
        members_.add(info, *peer);
    else if (peer.error() == MemberPeers::Refusal::no_room)
        log(Log::Level::error, "no-room", info.name,
            "dataplane.max_peers is too small for the network", now);
    else
        log(Log::Level::error, "member-refused", info.name,
            "its public key is that of a peer in the box file", now);
}

// Its sessions end, and nothing of it is known any more.
void Mesh::remove_member(const Member& member, const Now& now) {
    log(Log::Level::info, "member-removed", member.info.name, "no longer in the network file", now);
    links_.remove_all(member, now.mono);
    prober_.forget(member);
    for (const auto& [local_index, remote_index] : member.keypairs)
        relays_.close(remote_index, now.mono);
    paths_.forget(member);
    candidates_.forget(member);
    initiations_.forget(member.node);
    peers_.remove(member.peer, now);
    members_.remove(member);
    paths_.on_routes_changed();
}

void Mesh::refuse(const FileCandidate& candidate, const std::string& why, const Now& now) {
    exchange_.files().refuse(candidate, now.mono);
    ++nb_alarms_;
    log(Log::Level::warning, "network-refused", members_.name_at(candidate.from), why, now);
    settle(now);
}

// ---- the box's side ----

void Mesh::set_ports(const config::Model& box, const Now& now) {
    port_terms_.set(box);
    prober_.on_port_terms_changed(now.mono);
    links_.make_all(now.mono);
}

void Mesh::set_addresses(const std::string& host, const std::vector<IpAddress>& addresses,
                         const Now& now) {
    endpoints_.set_addresses(host, addresses);
    links_.make_all(now.mono);
}

std::vector<control::PeerPrefixes> Mesh::prefixes() const {
    std::vector<control::PeerPrefixes> result;
    for (const auto& [node, member] : members_.all()) {
        std::vector<Prefix> prefixes = member->info.prefixes;
        prefixes.push_back({node, 128});
        result.push_back({member->peer, std::move(prefixes), control::RouteOrigin::network_file});
    }
    for (const config::Client& client : members_.network().clients) {
        // To the box where it is now, else to ourselves: it may be about to come.
        const auto box = exchange_.roaming().box_of(client.public_key);
        const Member* member = box ? members_.at(*box) : nullptr;
        const auto peer = member != nullptr ? std::optional{member->peer}
                                            : parts_.device.find_peer(client.public_key);
        if (peer)
            result.push_back({*peer, client.addresses, control::RouteOrigin::network_file});
    }
    return result;
}

}  // namespace meshgate::mesh
