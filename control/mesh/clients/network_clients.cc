// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/clients/network_clients.h"

#include <algorithm>

namespace meshgate::mesh {

namespace {

bool serves(const config::Member& self, const config::Client& client) {
    return client.boxes.empty() || std::ranges::count(client.boxes, self.name) != 0;
}

}  // namespace

NetworkClients::Changes NetworkClients::changes(const MemberTable& members) const {
    const auto& clients = members.network().clients;
    std::map<PublicKey, const config::Client*> served;
    Changes changes;
    for (const config::Client& client : clients) {
        if (members.self() && serves(*members.self(), client))
            served[client.public_key] = &client;
    }
    for (const auto& [peer, client] : clients_) {
        if (const auto found = served.extract(client.key); !found.empty())
            changes.present.emplace_back(peer, *found.mapped());
        else
            changes.gone.push_back(client.key);
    }
    for (const config::Client& client : clients) {
        if (served.contains(client.public_key))
            changes.fresh.push_back(client);
    }
    return changes;
}

std::optional<PublicKey> NetworkClients::on_keypair(PeerId peer) {
    const auto client = clients_.find(peer);
    if (client == clients_.end())
        return std::nullopt;
    ++client->second.nb_keypairs;
    return client->second.key;
}

std::optional<PublicKey> NetworkClients::on_keypair_removed(PeerId peer) {
    const auto client = clients_.find(peer);
    if (client == clients_.end() || client->second.nb_keypairs == 0)
        return std::nullopt;
    if (--client->second.nb_keypairs > 0)
        return std::nullopt;
    return client->second.key;
}

}  // namespace meshgate::mesh
