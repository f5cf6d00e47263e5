// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/address.h"
#include "dataplane/api/link.h"
#include "dataplane/tables/fib.h"
#include "dataplane/tables/neighbor_table.h"

namespace meshgate {

// Where a prefix leads.
enum class ForwardKind : uint8_t {
    no_route,   // entry 0
    local,      // an address of ours
    connected,  // on a LAN port's own network: the destination itself is the next hop
    gateway,    // through next_hop on a LAN port
    peer,       // sealed for this peer
    blackhole,  // refused on purpose
    broadcast,  // all hosts of a network of ours (RFC 2644: not from elsewhere)
};

struct ForwardingEntry {
    ForwardKind kind = ForwardKind::no_route;
    PortId port = kNoPort;
    PeerId peer = kNoPeer;
    IpAddress next_hop;
};

// A port as packets see it.
struct PortView {
    PortRole role = PortRole::lan;
    MacAddress mac;
    uint16_t vlan = kNoVlan;
    uint8_t priority = 0;  // 802.1p, of the tag of frames that are sent
    uint16_t mtu_bytes = 1500;
    bool addresses_from_host = false;  // given to the twin, by DHCP perhaps
    std::vector<IpAddress> addresses;  // own addresses, IPv6 link-local included
    std::vector<Prefix> networks;      // connected
};

// All that workers know besides sessions and paths; const once published. Parts that a change does
// not touch are shared with the snapshot before it.
struct Snapshot {
    std::shared_ptr<const Fib> fib;        // overlay and LAN; values index `entries`
    std::vector<ForwardingEntry> entries;  // [0] is no_route
    std::shared_ptr<const NeighborTable> neighbors;
    std::vector<PortView> ports;         // by PortId
    std::vector<uint16_t> listen_ports;  // UDP, host order; the first is the one we send from
    // Sources of ICMP errors where the port has no address of the family (RFC 6724 decides).
    std::vector<IpAddress> icmp_sources;
};

}  // namespace meshgate
