// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "base/address.h"
#include "dataplane/tables/ids.h"

namespace meshgate {

constexpr uint16_t kNoVlan = 0;  // 802.1Q reserves tag 0: untagged

// A direct underlay way: our wan port and the remote endpoint, with the outer headers prepared.
// Const once published; a change of any of it is a new Link.
struct alignas(64) Link {
    PortId port = kNoPort;
    uint16_t mtu_bytes = 0;  // largest inner packet: port MTU - 60 (IPv4) or - 80 (IPv6)
    uint8_t header_len = 0;  // Ethernet [+ VLAN] + IP + UDP
    uint8_t ip_offset = 0;   // 14 or 18
    bool outer_ipv6 = false;
    Endpoint remote;
    Endpoint local;                    // the address (and listen port) the peer sees us at
    std::array<uint8_t, 66> header{};  // lengths, ECN and checksums are filled per packet
};

struct LinkOptions {
    PortId port;
    uint16_t port_mtu_bytes;
    uint16_t vlan;  // kNoVlan: untagged
    MacAddress source_mac;
    MacAddress next_hop_mac;  // of the endpoint if on-link, else of the gateway
    Endpoint local;
    Endpoint remote;  // same family as local
};
Link make_link(const LinkOptions& options) noexcept;

}  // namespace meshgate
