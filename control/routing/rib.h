// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "config/model.h"
#include "dataplane/api/snapshot.h"

namespace meshgate::control {

enum class RouteOrigin : uint8_t {
    built_in,      // what no router may forward
    babel,         // learned from a router that is no Meshgate
    allowed_ips,   // of a peer
    network_file,  // of a member
    routes,        // of the box file
    network,       // connected to a lan port
    address,       // ours
};

// One prefix of the overlay and where it leads.
struct RibRoute {
    Prefix prefix;
    ForwardingEntry entry;
    RouteOrigin origin = RouteOrigin::built_in;

    bool operator==(const RibRoute& other) const noexcept;
};

struct PeerPrefixes {
    PeerId peer = kNoPeer;
    std::vector<Prefix> allowed_ips;
    RouteOrigin origin = RouteOrigin::allowed_ips;
};

// All routes of the box. Where two name one prefix the later wins: what is nearer. Networks of wan
// ports are not among them, so that nothing can leave unsealed by a port that is wan only.
// `own_addresses`: those that are on no port.
std::vector<RibRoute> build_rib(std::span<const config::Port> ports,
                                std::span<const config::Route> routes,
                                std::span<const PeerPrefixes> peers,
                                std::span<const IpAddress> own_addresses = {});

// `rib` without what was learned before, and `learned` in its place: what the box knows by itself
// comes first, so that of one prefix only its own route stays.
std::vector<RibRoute> with_learned(std::vector<RibRoute> rib, std::vector<RibRoute> learned);

}  // namespace meshgate::control
