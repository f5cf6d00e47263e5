// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>

#include "base/keys.h"
#include "dataplane/api/keypair.h"

namespace meshgate::mesh {

// Clients of the network file that may connect to this box, and which of them have a session here.
class NetworkClients {
public:
    void add(PeerId peer, const PublicKey& key) { clients_[peer] = {key, 0}; }
    void remove(PeerId peer) { clients_.erase(peer); }

    // A session of the peer began. Nothing: it is no client of the network file.
    std::optional<PublicKey> on_keypair(PeerId peer) {
        const auto client = clients_.find(peer);
        if (client == clients_.end())
            return std::nullopt;
        ++client->second.nb_keypairs;
        return client->second.key;
    }
    // One ended. Nothing: others are left, or it is no client.
    std::optional<PublicKey> on_keypair_removed(PeerId peer) {
        const auto client = clients_.find(peer);
        if (client == clients_.end() || client->second.nb_keypairs == 0)
            return std::nullopt;
        if (--client->second.nb_keypairs > 0)
            return std::nullopt;
        return client->second.key;
    }

private:
    struct Client {
        PublicKey key;
        unsigned nb_keypairs = 0;
    };

    std::map<PeerId, Client> clients_;
};

}  // namespace meshgate::mesh
