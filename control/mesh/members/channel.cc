// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/channel.h"

#include <utility>

#include "control/packets/udp.h"

namespace meshgate::mesh {

namespace {

// Of inner packets; relays on the way do not see them.
constexpr uint8_t kHopLimit = 64;
constexpr size_t kHeadersLen = 48;  // IPv6 and UDP

}  // namespace

Packet Channel::datagram(const Member& member, std::span<const uint8_t> payload) {
    return control::make_udp(dataplane_,
                             {.source = {node_, kMeshPort},
                              .destination = {member.node, kMeshPort},
                              .hop_limit = kHopLimit},
                             payload);
}

bool Channel::send(Member& member, const Message& message, LinkId link) {
    if (!can_send(member) || (link == kNoLink && !member.path))
        return false;
    Packet packet = datagram(member, encode(message));
    if (!packet)
        return false;
    seal(member, std::move(packet), link);
    return true;
}

void Channel::send_probe(Member& member, uint32_t id, uint16_t mtu_bytes, LinkId link) {
    if (!can_send(member))
        return;
    Packet packet = datagram(member, encode_padded(Probe{id}, mtu_bytes - kHeadersLen));
    if (!packet)
        return;
    // With the padding of WireGuard no larger than what is tried.
    packet.info().mtu_bytes = mtu_bytes;
    seal(member, std::move(packet), link);
}

void Channel::send_babel(Member& member, const babel::Outgoing& outgoing) {
    if (!can_send(member))
        return;
    Packet packet = control::make_udp(
        dataplane_,
        {.source = outgoing.flow.source, .destination = outgoing.flow.destination, .hop_limit = 1},
        outgoing.bytes);
    if (packet)
        seal(member, std::move(packet), outgoing.interface);
}

void Channel::seal(Member& member, Packet packet, LinkId link) {
    PacketInfo& info = packet.info();
    info.inject = Inject::seal;
    info.peer = member.peer;
    info.link = link;
    member.traffic.on_control_sent();
    dataplane_.send(std::move(packet), member.peer);
}

std::optional<Message> Channel::receive(const Packet& packet, Member& member, Time now) {
    const auto udp = control::parse_udp(packet.bytes());
    if (!udp || udp->destination != Endpoint{node_, kMeshPort} ||
        udp->source.address != member.node || !member.control_rate.take(now)) {
        ++nb_undecodable_;
        return std::nullopt;
    }
    auto message = decode(udp->payload);
    if (!message) {
        ++nb_undecodable_;
        return std::nullopt;
    }
    return std::move(*message);
}

}  // namespace meshgate::mesh
