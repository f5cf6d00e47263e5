// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/keys.h"
#include "config/network.h"
#include "control/mesh/members/member_table.h"
#include "dataplane/api/keypair.h"

namespace meshgate::mesh {

// Clients of the network file that may connect to this box, and which of them have a session here.
class NetworkClients {
public:
    struct Changes {
        std::vector<config::Client> fresh;  // to be added
        std::vector<std::pair<PeerId, config::Client>> present;
        std::vector<PublicKey> gone;  // to be removed
    };
    // What the network file in force makes of the clients that were added.
    Changes changes(const MemberTable& members) const;
    void add(PeerId peer, const PublicKey& key) { clients_[peer] = {key, 0}; }
    void remove(PeerId peer) { clients_.erase(peer); }

    // A session of the peer began. Nothing: it is no client of the network file.
    std::optional<PublicKey> on_keypair(PeerId peer);
    // One ended. Nothing: others are left, or it is no client.
    std::optional<PublicKey> on_keypair_removed(PeerId peer);

private:
    struct Client {
        PublicKey key;
        unsigned nb_keypairs = 0;
    };

    std::map<PeerId, Client> clients_;
};

}  // namespace meshgate::mesh
