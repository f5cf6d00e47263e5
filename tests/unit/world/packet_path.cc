// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/world/packet_path.h"

#include <endian.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/protocol_numbers.h"
#include "control/neighbor/messages.h"
#include "dataplane/tables/fib.h"

namespace meshgate::control::world {

namespace {

constexpr MacAddress kRouterMac{{2, 0, 0, 0, 9, 9}};
// dataplane/path/punt_mesh.cc
constexpr uint64_t kMeshCostNs = 500'000;
constexpr uint64_t kMeshAtOnce = 256;
constexpr size_t kEthernetLen = 14;
constexpr size_t kIpv4Len = 20;
constexpr size_t kIpv6Len = 40;
constexpr size_t kUdpLen = 8;

uint16_t u16(std::span<const uint8_t> bytes, size_t at) {
    return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

bool is_udp_to(uint16_t port, std::span<const uint8_t> ip) {
    return ip.size() >= kIpv6Len + kUdpLen && ip[0] >> 4 == 6 && ip[6] == 17 &&
           u16(ip, kIpv6Len + 2) == port;
}

// False when it may travel no further.
bool take_hop(Bytes& ip) {
    uint8_t& hops = ip[ip[0] >> 4 == 6 ? 7 : 8];
    if (hops <= 1)
        return false;
    --hops;
    return true;
}

}  // namespace

IpAddress source_of(std::span<const uint8_t> ip) {
    if (ip.size() >= kIpv6Len && ip[0] >> 4 == 6)
        return IpAddress::v6(&ip[8]);
    uint32_t address = 0;
    if (ip.size() < kIpv4Len || ip[0] >> 4 != 4)
        return {};
    std::memcpy(&address, &ip[12], sizeof address);
    return IpAddress::v4(address);
}

IpAddress destination_of(std::span<const uint8_t> ip) {
    if (ip.size() >= kIpv6Len && ip[0] >> 4 == 6)
        return IpAddress::v6(&ip[24]);
    uint32_t address = 0;
    if (ip.size() < kIpv4Len || ip[0] >> 4 != 4)
        return {};
    std::memcpy(&address, &ip[16], sizeof address);
    return IpAddress::v4(address);
}

bool is_babel(std::span<const uint8_t> ip) {
    return is_udp_to(kBabelPort, ip) && IpAddress::v6(&ip[8]).is_link_local();
}

// ---- what control does ----

void PacketPath::remove_peer(PeerId id) {
    activities.erase(id);
    mesh_paid_until_.erase(id);
    FakeDataplane::remove_peer(id);
}

bool PacketPath::send(Packet packet, uint32_t) {
    const PacketInfo& info = packet.info();
    const auto bytes = packet.bytes();
    switch (info.inject) {
        case Inject::frame:
            send_frame(info.port, bytes);
            return true;
        case Inject::route:
            route({bytes.begin(), bytes.end()}, kNoPeer);
            return true;
        case Inject::seal:
            break;
    }
    if (censors && censors(info.peer, info.link, bytes))
        return true;
    send_sealed(info.peer, {bytes.begin(), bytes.end()}, info.link);
    return true;
}

bool PacketPath::send_sealed(PeerId id, Bytes inner, LinkId link) {
    const uint64_t before = activity(id).tx_packets;
    if (link == kNoLink) {
        seal(id, std::move(inner), path(id), true);
    } else {
        const auto found = link_table.find(link);
        seal(id, std::move(inner), found == link_table.end() ? nullptr : found->second.get(),
             false);
    }
    return activity(id).tx_packets != before;
}

// Questions to the router on a wan port are answered at once; datagrams leave.
void PacketPath::send_frame(PortId port, std::span<const uint8_t> frame) {
    if (const auto asked = parse_neighbor_frame(frame, 0)) {
        const bool ours = asked->target == asked->sender;
        if (asked->kind != NeighborMessage::Kind::question || ours ||
            asked->sender.is_unspecified() || options().ports[port].role != PortRole::wan)
            return;
        const bool v4 = asked->target.is_v4();
        punt(v4 ? Punt::arp : Punt::neighbor_discovery, build_answer({kRouterMac, 0}, *asked),
             {.port = port});
        return;
    }
    const auto ip = frame.subspan(kEthernetLen);
    const bool v4 = ip[0] >> 4 == 4;
    const size_t l4 = v4 ? kIpv4Len : kIpv6Len;
    if (ip.size() < l4 + kUdpLen || ip[v4 ? 9 : 6] != 17)
        return;
    const auto message = ip.subspan(l4 + kUdpLen);
    Datagram datagram;
    datagram.source = {source_of(ip), u16(ip, l4)};
    datagram.destination = {destination_of(ip), u16(ip, l4 + 2)};
    datagram.bytes.assign(message.begin(), message.end());
    statistics.control_bytes += datagram.wire_len();
    outside_.transmit(box_, port, std::move(datagram));
}

// ---- out ----

void PacketPath::seal(PeerId id, Bytes inner, const Link* link, bool waits) {
    if (link == nullptr)
        return drop(Drop::no_endpoint);
    Keypair* keypair = sending_keypair(id);
    if (keypair == nullptr || tsc_now() >= keypair->reject_after_tsc) {
        if (!waits || inner.empty())
            return drop(Drop::no_session);
        return punt(Punt::no_session, inner, {.peer = id});
    }
    Datagram datagram;
    datagram.source = link->local;
    datagram.destination = link->remote;
    datagram.transport = true;
    datagram.receiver_index = le32toh(keypair->remote_index_le);
    datagram.counter = keypair->send_counter.fetch_add(1);
    datagram.key = keypair->send_key;
    Activity& seen = activities[id];
    ++seen.tx_packets;
    seen.tx_bytes += inner.size() + 32;
    seen.last_any_tx_tsc = tsc_now();
    if (!inner.empty())
        seen.last_data_tx_tsc = tsc_now();
    const bool control = inner.empty() || is_babel(inner) || is_udp_to(kMeshPort, inner);
    datagram.bytes = std::move(inner);
    if (control) {
        ++statistics.control_packets;
        statistics.control_bytes += datagram.wire_len();
    }
    outside_.transmit(box_, link->port, std::move(datagram));
}

const ForwardingEntry& PacketPath::entry_for(const IpAddress& address) const {
    return snapshot().entries[snapshot().fib->lookup(address)];
}

void PacketPath::route(Bytes ip, PeerId from) {
    const ForwardingEntry entry = entry_for(destination_of(ip));
    switch (entry.kind) {
        case ForwardKind::no_route:
        case ForwardKind::blackhole:
        case ForwardKind::broadcast:
            return drop(Drop::no_route);
        case ForwardKind::local:
        case ForwardKind::connected:
        case ForwardKind::gateway:
            return outside_.on_lan(box_, ip);
        case ForwardKind::peer:
            break;
    }
    if (!take_hop(ip))
        return drop(Drop::ttl_expired);
    if (from != kNoPeer)
        ++statistics.hairpins;
    seal(entry.peer, std::move(ip), path(entry.peer), true);
}

// ---- in ----

void PacketPath::from_wan(PortId port, Datagram datagram) {
    if (std::ranges::count(snapshot().listen_ports, datagram.destination.port) == 0)
        return drop(Drop::not_wireguard);
    if (!datagram.transport)
        return punt(Punt::handshake, datagram.bytes,
                    {.port = port, .remote = datagram.source, .local = datagram.destination});
    if (Keypair* keypair = this->keypair(datagram.receiver_index))
        return open(port, datagram, *keypair);
    const auto relay = relays.find(datagram.receiver_index);
    if (relay == relays.end())
        return drop(Drop::unknown_index);
    forward(std::move(datagram), relay->second);
}

void PacketPath::forward(Datagram datagram, LinkId id) {
    if (swallows && swallows(datagram))
        return;
    outside_.on_forwarded(box_, datagram);
    const Link* link = link_table.at(id).get();
    if (link == nullptr)
        return drop(Drop::no_endpoint);
    if (datagram.hop_limit <= 1)
        return drop(Drop::ttl_expired);
    --datagram.hop_limit;
    datagram.source = link->local;
    datagram.destination = link->remote;
    datagram.relayed_by.push_back(box_);
    ++statistics.relayed;
    ++link_activities[id].relayed_packets;
    outside_.transmit(box_, link->port, std::move(datagram));
}

void PacketPath::open(PortId port, const Datagram& datagram, Keypair& keypair) {
    if (tsc_now() >= keypair.reject_after_tsc)
        return drop(Drop::expired_key);
    if (datagram.key != keypair.receive_key)
        return drop(Drop::bad_tag);
    if (!keypair.replay.accept(datagram.counter))
        return drop(Drop::replayed);
    Activity& seen = activities[keypair.peer];
    ++seen.rx_packets;
    seen.rx_bytes += datagram.bytes.size() + 32;
    seen.last_any_rx_tsc = tsc_now();
    if (!datagram.bytes.empty())
        seen.last_data_rx_tsc = tsc_now();
    if (!keypair.confirmed.exchange(true))
        notes.push_back({.kind = Note::Kind::confirmed,
                         .peer = keypair.peer,
                         .local_index = keypair.local_index,
                         .tsc = tsc_now()});
    const Link* path = this->path(keypair.peer);
    if (!path_is_fixed(keypair.peer) &&
        (path == nullptr || path->remote != datagram.source || path->port != port))
        notes.push_back({.kind = Note::Kind::endpoint_moved,
                         .port = port,
                         .peer = keypair.peer,
                         .local_index = keypair.local_index,
                         .remote = datagram.source,
                         .local = datagram.destination,
                         .tsc = tsc_now()});
    if (datagram.bytes.empty())
        return drop(Drop::keepalive);
    take_inner(port, datagram, keypair.peer);
}

void PacketPath::take_inner(PortId port, const Datagram& datagram, PeerId from) {
    if (is_babel(datagram.bytes))
        return punt_mesh(port, datagram, from);
    const ForwardingEntry& owner = entry_for(source_of(datagram.bytes));
    if (owner.kind != ForwardKind::peer || owner.peer != from)
        return drop(Drop::source_not_allowed);
    const bool local = entry_for(destination_of(datagram.bytes)).kind == ForwardKind::local;
    if (local && is_udp_to(kMeshPort, datagram.bytes))
        return punt_mesh(port, datagram, from);
    route(datagram.bytes, from);
}

void PacketPath::punt_mesh(PortId port, const Datagram& datagram, PeerId from) {
    uint64_t& paid_until = mesh_paid_until_[from];
    const uint64_t start = std::max(paid_until, tsc_now());
    if (start + kMeshCostNs > tsc_now() + kMeshAtOnce * kMeshCostNs)
        return drop(Drop::mesh_flood);
    paid_until = start + kMeshCostNs;
    punt(Punt::mesh, datagram.bytes,
         {.port = port, .peer = from, .remote = datagram.source, .local = datagram.destination});
}

}  // namespace meshgate::control::world
