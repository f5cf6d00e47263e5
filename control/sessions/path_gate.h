// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/time.h"
#include "control/wireguard/device.h"

namespace meshgate::control {

// Who finds the paths of peers that have a node address, as sessions see it. Calls go one way, from
// the sessions; what they may do now, they fetch.
class PathGate {
public:
    virtual ~PathGate() = default;

    // A handshake message to a node address.
    virtual void send_handshake(const wireguard::RouteMessage& message, const Now& now) = 0;
    // A keypair of any peer was installed, or is gone.
    virtual void on_keypair(const wireguard::InstallKeypair& keypair, const Now& now) = 0;
    virtual void on_keypair_removed(PeerId peer, uint32_t local_index, const Now& now) = 0;
    // Whether datagrams of this keypair would arrive. If not, it is used once take_released() names
    // the peer.
    virtual bool may_send(PeerId peer, uint32_t local_index, const Now& now) = 0;
    // Peers whose refused keypair may send after all, since the last call.
    virtual std::vector<PeerId> take_released() = 0;
};

}  // namespace meshgate::control
