// SPDX-License-Identifier: Apache-2.0
// Clients of the network file: stock WireGuard devices that may connect to any box they are allowed
// at, and keep their addresses.
#include <algorithm>

#include "control/mesh/mesh.h"

namespace meshgate::mesh {

bool Mesh::serves(const config::Client& client) const {
    if (!self_)
        return false;
    return client.boxes.empty() || std::ranges::count(client.boxes, self_->name) != 0;
}

std::optional<PeerId> Mesh::peer_of_client(const PublicKey& client) const {
    const auto box = clients_.box_of(client);
    const auto member = box ? members_.find(*box) : members_.end();
    if (member == members_.end())
        return std::nullopt;
    return member->second->peer;
}

void Mesh::on_client_keypair(PeerId peer, const Now& now) {
    const auto client = client_peers_.find(peer);
    const auto view = parts_.device.peer_view(peer);
    if (client == client_peers_.end() || !view)
        return;
    ++client->second.nb_keypairs;
    clients_.here(client->second.key, view->greatest_timestamp, now.mono);
    settle_exchanges(now);
}

void Mesh::on_client_keypair_removed(PeerId peer, Time now) {
    const auto client = client_peers_.find(peer);
    if (client == client_peers_.end() || client->second.nb_keypairs == 0)
        return;
    if (--client->second.nb_keypairs == 0)
        clients_.gone(client->second.key, now);
}

void Mesh::on_message(Member& member, const ClientAt& said, const LinkKey&, const Now& now) {
    greet(member, now.mono);
    clients_.receive(member.node, said, now.mono);
    settle_exchanges(now);
}

}  // namespace meshgate::mesh
