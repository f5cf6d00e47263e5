// SPDX-License-Identifier: Apache-2.0
// From entries of the box file to places.
#include <algorithm>

#include "config/authority.h"
#include "control/routing/snapshot_builder.h"
#include "control/site_routers/routers.h"

namespace meshgate::control::site_routers {

namespace {

// Above all ports.
constexpr babel::InterfaceId kFirstPeer = 0x10000;

constexpr uint16_t kIpv6UdpLen = 48;
constexpr uint16_t kMaxPacketLen = 1232;  // fits 1280 bytes, which every IPv6 link carries
// A segment where strangers invent neighbours must not fill the memory: 32 of them with all they
// may announce are half a million routes.
constexpr size_t kMaxNeighbors = 32;
constexpr size_t kMaxRoutes = 16384;  // routes taken from one place

// 1 % of lost Hellos costs a wireless link what ETX would add (RFC 8966, appendix A.2.2).
constexpr double kWirelessPerLoss = 5.12;
constexpr uint16_t kWiredCost = 96;
constexpr uint16_t kWirelessCost = 256;

babel::InterfaceOptions options_of(const config::Babel& entry) {
    const bool wireless = entry.medium == config::Medium::wireless;
    babel::InterfaceOptions options;
    options.hello_interval = std::chrono::milliseconds{entry.hello_ms};
    options.cost.base = wireless ? kWirelessCost : kWiredCost;
    options.cost.bias = entry.cost_bias;
    options.cost.per_loss = wireless ? kWirelessPerLoss : 0;
    options.split_horizon = !wireless;
    options.max_packet_len = kMaxPacketLen;
    options.max_neighbors = kMaxNeighbors;
    options.max_routes = kMaxRoutes;
    return options;
}

std::optional<IpAddress> first_v4(const config::Port& port) {
    for (const Prefix& address : port.addresses) {
        if (address.address.is_v4())
            return address.address;
    }
    return std::nullopt;
}

// FRR knows no IPv4 routes over IPv6: any IPv4 address of ours serves as next hop in a tunnel,
// where nobody looks for it.
std::optional<IpAddress> lan_v4(const config::Model& model) {
    for (const config::Port& port : model.ports) {
        const auto address = first_v4(port);
        if (is_lan(port.role) && address)
            return address;
    }
    return std::nullopt;
}

Place place_of(const config::Babel& entry) {
    Place place;
    place.options = options_of(entry);
    place.filter = {.accept = entry.accept, .announce = entry.announce};
    place.key_file = entry.key_file;
    place.key_algorithm = entry.key_algorithm;
    place.key_tag = entry.key_tag;
    return place;
}

bool fill_port(Place& place, const PlaceParts& parts, const std::string& name) {
    const auto& ports = parts.model.ports;
    const auto port = std::ranges::find(ports, name, &config::Port::name);
    if (port == ports.end())
        return false;
    const auto index = static_cast<size_t>(port - ports.begin());
    place.name = name;
    place.port = static_cast<PortId>(index);
    place.identity = {parts.macs[index], tag_of(*port)};
    place.up = parts.links_down_since_ns[index] == 0;
    place.networks = connected_networks(*port);
    place.options.address = link_local_address(parts.macs[index]);
    place.options.ipv4 = first_v4(*port);
    place.options.max_packet_len =
        std::min<size_t>(place.options.max_packet_len, port->mtu_bytes - kIpv6UdpLen);
    return true;
}

bool fill_peer(Place& place, const PlaceParts& parts, const std::string& name) {
    const auto& peers = parts.model.peers;
    const auto peer = std::ranges::find(peers, name, &config::Peer::name);
    if (peer == peers.end())
        return false;
    place.name = name;
    place.peer = parts.find_peer(peer->public_key);
    place.filter.peer = place.peer;
    place.options.address = config::link_local_address(parts.model.node.public_key);
    place.options.ipv4 = lan_v4(parts.model);
    return place.peer != kNoPeer;
}

}  // namespace

babel::InterfaceId Place::id() const noexcept {
    return peer == kNoPeer ? babel::InterfaceId{port} : kFirstPeer + peer;
}

std::vector<Place> places_of(const PlaceParts& parts) {
    std::vector<Place> places;
    for (const config::Babel& entry : parts.model.babel) {
        Place place = place_of(entry);
        const bool there = entry.peer.empty() ? fill_port(place, parts, entry.port)
                                              : fill_peer(place, parts, entry.peer);
        if (there)
            places.push_back(std::move(place));
    }
    return places;
}

}  // namespace meshgate::control::site_routers
