// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/time.h"
#include "control/wireguard/device.h"

namespace meshgate::mesh {

// What the mesh has to say in the sessions of its peers. An address with port 0 is a node address:
// the mesh finds the way there.
class MeshPeers {
public:
    virtual ~MeshPeers() = default;

    // A handshake message to a node address.
    virtual void send_handshake(const wireguard::SendMessage& message, const Now& now) = 0;
    // A keypair of any peer was installed, or is gone.
    virtual void on_keypair(const wireguard::InstallKeypair& keypair, const Now& now) = 0;
    virtual void on_keypair_removed(PeerId peer, uint32_t local_index, const Now& now) = 0;
    // Whether datagrams of this keypair would arrive. If not, it is used once the mesh releases
    // the peer.
    virtual bool may_send(PeerId peer, uint32_t local_index, const Now& now) = 0;
};

}  // namespace meshgate::mesh
