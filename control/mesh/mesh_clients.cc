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

std::optional<PeerId> Mesh::peer_of_client(const PublicKey&) const {
    return std::nullopt;
}

}  // namespace meshgate::mesh
