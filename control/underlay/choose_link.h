// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "dataplane/api/link.h"

namespace meshgate::control {

// A wan port as the choice of a link sees it.
struct UnderlayPort {
    PortId id = kNoPort;
    MacAddress mac;
    uint16_t vlan = kNoVlan;  // with its priority, as vlan_tag()
    uint16_t mtu_bytes = 1500;
    std::vector<Prefix> addresses;      // with host bits
    std::vector<IpAddress> deprecated;  // of these
    IpAddress gateway_v4;               // Family::none: none
    IpAddress gateway_v6;
    bool up = true;
    bool metered = false;
    UdpChecksum udp_checksum = UdpChecksum::always;
};

// Who takes a datagram next, on the network of a port.
struct NextHop {
    PortId port = kNoPort;
    IpAddress address;

    auto operator<=>(const NextHop&) const = default;
};

// What a link is chosen for: where datagrams go, and what binds them on our side.
struct LinkTarget {
    Endpoint remote;
    PortId port = kNoPort;  // kNoPort: any that leads there
    Endpoint local{};       // where the peer knows us; family none: ours to choose
    PeerId peer = kNoPeer;  // the stock peer that it is for; kNoPeer: a link of the mesh

    auto operator<=>(const LinkTarget&) const = default;
};

// How datagrams to an endpoint leave.
struct LinkChoice {
    NextHop next_hop;
    IpAddress source;

    bool operator==(const LinkChoice&) const = default;
};

// The choice for `remote`. `source`, when it is an address of a port that is up, binds the answer
// to where the question came in (W39). Else the longest connected network that holds `remote`, else
// the first port with a gateway; metered ports come behind the others, and ports whose link is down
// and next hops to avoid last of all. Empty: no port leads there.
std::optional<LinkChoice> choose_link(std::span<const UnderlayPort> ports, const IpAddress& remote,
                                      const IpAddress& source,
                                      std::span<const NextHop> avoided = {});

}  // namespace meshgate::control
