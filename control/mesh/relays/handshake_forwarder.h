// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "control/mesh/members/route_lookup.h"
#include "control/mesh/protocol/messages.h"

namespace meshgate::mesh {

// Handshake messages between boxes that have no link: they travel inside mesh messages, hop by hop,
// to a box that has a session with us and is nearer to the receiver. Where there is no route yet,
// the last message for each receiver waits for one: its sender repeats it only after five seconds.
class HandshakeForwarder {
public:
    struct Outgoing {
        NextHop via;
        Handshake message;
    };
    struct Received {
        IpAddress from;  // node address
        std::vector<uint8_t> bytes;
    };

    HandshakeForwarder(const IpAddress& self, const RouteLookup& routes)
        : self_{self}, routes_{routes} {}

    // One of ours.
    void send(const IpAddress& to, std::span<const uint8_t> bytes, Time now);
    // From a neighbour. `from` and `to` of the message are members or ourselves, or it is nothing.
    enum class Role : uint8_t { leaf, relay };
    void receive(Handshake message, Role role, Time now);
    // There is a route to the receiver now, or another one.
    void on_route(const IpAddress& to, Time now);
    void tick(Time now);

    std::vector<Outgoing> take_messages() { return std::exchange(messages_, {}); }
    std::vector<Received> take_received() { return std::exchange(received_, {}); }

private:
    struct Waiting {
        Handshake message;
        Time expires{};
    };

    void forward(Handshake message, Time now);

    IpAddress self_;
    const RouteLookup& routes_;
    std::map<IpAddress, Waiting> waiting_;  // by receiver
    std::vector<Outgoing> messages_;
    std::vector<Received> received_;
};

}  // namespace meshgate::mesh
