// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "dataplane/api/link.h"

namespace meshgate::control {

// A wan port as the choice of a way sees it.
struct UnderlayPort {
    PortId id = kNoPort;
    MacAddress mac;
    uint16_t vlan = kNoVlan;
    uint16_t mtu_bytes = 1500;
    std::vector<Prefix> addresses;  // with host bits
    IpAddress gateway_v4;           // Family::none: none
    IpAddress gateway_v6;
    bool up = true;
};

// By which port a datagram leaves, with which source, and who takes it next on that network.
struct Way {
    PortId port = kNoPort;
    IpAddress source;
    IpAddress next_hop;

    bool operator==(const Way&) const = default;
};

// The way to `remote`. `source`, when it is an address of a port that is up, binds the answer to
// where the question came in (W39). Else the longest connected network that holds `remote`, else
// the first port with a gateway; ports whose link is up go first.
std::optional<Way> choose_way(std::span<const UnderlayPort> ports, const IpAddress& remote,
                              const IpAddress& source);

}  // namespace meshgate::control
