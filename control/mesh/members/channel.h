// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "control/babel/speaker.h"
#include "control/mesh/members/member.h"
#include "control/mesh/protocol/messages.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::mesh {

// What we say to members inside their sessions, and what they say to us: Babel and mesh messages,
// as UDP in inner packets.
class Channel {
public:
    Channel(Dataplane& dataplane, const IpAddress& node) : dataplane_{dataplane}, node_{node} {}

    // There is a keypair that sends.
    bool can_send(const Member& member) const {
        return dataplane_.sending(member.peer).has_value();
    }
    // By the member's path (kNoLink), or by a link that leads to it. False: no session, or no path.
    bool send(Member& member, const Message& message, LinkId link = kNoLink);
    // Padded to an inner packet of this size; never cut to the path's MTU.
    void send_probe(Member& member, uint32_t id, uint16_t mtu_bytes, LinkId link);
    void send_babel(Member& member, const babel::Outgoing& outgoing);

    // Nothing: it is no message of the member's, or one too many.
    std::optional<Message> receive(const Packet& packet, Member& member, Time now);

    uint64_t nb_undecodable() const noexcept { return nb_undecodable_; }
    void count_undecodable() noexcept { ++nb_undecodable_; }

private:
    Packet datagram(const Member& member, std::span<const uint8_t> payload);
    void seal(Member& member, Packet packet, LinkId link);

    Dataplane& dataplane_;
    IpAddress node_;
    uint64_t nb_undecodable_ = 0;
};

}  // namespace meshgate::mesh
