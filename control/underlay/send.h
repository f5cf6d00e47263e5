// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>

#include "base/waiting_room.h"
#include "control/underlay/choose_link.h"
#include "control/wireguard/device.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// Sends handshake messages, and keeps those whose next hop has not told its MAC address yet. A
// handshake is repeated by whoever began it, so that what is lost here is counted and forgotten.
class HandshakeSender {
public:
    struct Handshake {
        LinkTarget target;
        wireguard::SendMessage message;
    };

    // `dataplane` outlives this.
    explicit HandshakeSender(Dataplane& dataplane);

    void send(const Link& link, const wireguard::SendMessage& message);
    // Until the next hop answers; the oldest goes when there are too many.
    void hold(const NextHop& next_hop, Handshake handshake);
    // All that wait for it, oldest first.
    std::deque<Handshake> take(const NextHop& next_hop) { return waiting_.take(next_hop); }
    size_t nb_waiting() const noexcept { return waiting_.size(); }

private:
    Dataplane& dataplane_;
    WaitingBudget budget_;
    WaitingRoom<NextHop, Handshake> waiting_;
};

}  // namespace meshgate::control
