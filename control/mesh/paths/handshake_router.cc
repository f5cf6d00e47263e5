// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/handshake_router.h"

#include <utility>

namespace meshgate::mesh {

// The path is tried first; once it did not answer, nothing is known to work.
bool HandshakeRouter::goes_by_path(const Member& member) const {
    const auto view = parts_.device.peer_view(member.peer);
    const bool first_try = view && view->initiations_of_attempt <= 1;
    return member.has_session() && member.path && !parts_.paths.is_failing(member) && first_try;
}

// Without a path everywhere at once: the first to arrive opens the session, and shows the way.
void HandshakeRouter::send(const Member& member, const wireguard::RouteMessage& message, Time now) {
    const bool by_path = goes_by_path(member);
    const wireguard::SendMessage datagram{
        .peer = message.peer, .message = message.message, .to = {}};
    for (const auto& [key, link] : parts_.links.of(member)) {
        if (!by_path || link.id == member.path->via.link)
            parts_.underlay.send(link.id, datagram, now);
    }
    if (!by_path || member.is_relayed())
        forwarder_.send(member.node, message.message.view(), now);
}

void HandshakeRouter::receive(const Handshake& message, Time now) {
    using Role = HandshakeForwarder::Role;
    const MemberTable& members = parts_.members;
    const bool to_somebody = message.to == members.node() || members.at(message.to) != nullptr;
    if (to_somebody && members.at(message.from) != nullptr)
        forwarder_.receive(message, members.is_relay() ? Role::relay : Role::leaf, now);
}

void HandshakeRouter::settle() {
    for (HandshakeForwarder::Outgoing& outgoing : forwarder_.take_messages()) {
        if (Member* hop = parts_.members.at(outgoing.via.node))
            parts_.channel.send(*hop, std::move(outgoing.message), outgoing.via.link);
    }
}

}  // namespace meshgate::mesh
