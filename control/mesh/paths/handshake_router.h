// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/time.h"
#include "control/mesh/members/channel.h"
#include "control/mesh/members/member_table.h"
#include "control/mesh/paths/member_paths.h"
#include "control/mesh/probing/member_links.h"
#include "control/mesh/relays/handshake_forwarder.h"
#include "control/underlay/links.h"
#include "control/wireguard/device.h"

namespace meshgate::mesh {

// Handshake messages of members: ours by the path in use, or everywhere at once; others' hop by hop.
class HandshakeRouter {
public:
    struct Parts {  // all outlive this
        const wireguard::Device& device;
        const MemberTable& members;
        control::Links& underlay;
        const MemberLinks& links;
        const MemberPaths& paths;
        Channel& channel;
    };
    explicit HandshakeRouter(const Parts& parts)
        : parts_{parts}, forwarder_{parts.members.node(), parts.paths} {}

    // An answer goes back where the question came from, and does not come here.
    void send(const Member& member, const wireguard::RouteMessage& message, Time now);
    // From a neighbour; ours or somebody else's.
    void receive(const Handshake& message, Time now);
    // There is a route to the member now, or another one.
    void on_route(const IpAddress& member, Time now) { forwarder_.on_route(member, now); }
    void tick(Time now) { forwarder_.tick(now); }
    // Sends what goes hop by hop; after any of the above.
    void settle();
    // Ours that came hop by hop, for the device.
    std::vector<HandshakeForwarder::Received> take_received() { return forwarder_.take_received(); }

private:
    bool goes_by_path(const Member& member) const;

    Parts parts_;
    HandshakeForwarder forwarder_;
};

}  // namespace meshgate::mesh
