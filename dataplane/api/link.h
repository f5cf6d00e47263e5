// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "base/address.h"
#include "dataplane/tables/ids.h"

namespace meshgate {

constexpr uint16_t kNoVlan = 0;  // 802.1Q reserves tag 0: untagged

// The tag control information of frames of that VLAN (802.1Q, 9.6); kNoVlan: no tag.
constexpr uint16_t vlan_tag(uint16_t vlan, uint8_t priority) noexcept {
    return vlan == kNoVlan ? kNoVlan : static_cast<uint16_t>(priority << 13 | vlan);
}

// A direct underlay way: our wan port and the remote endpoint, with the outer headers prepared.
// Const once published; a change of any of it is a new Link.
struct alignas(64) Link {
    PortId port = kNoPort;
    uint16_t mtu_bytes = 0;  // largest inner packet, see inner_mtu()
    uint8_t header_len = 0;  // Ethernet [+ VLAN] + IP + UDP
    uint8_t ip_offset = 0;   // 14 or 18
    bool outer_ipv6 = false;
    Endpoint remote;
    Endpoint local;  // the address (and listen port) the peer sees us at
    // Lengths, ECN and checksums are filled in per packet. Where the UDP checksum stands: the sum
    // of addresses, protocol and ports, folded, to which a packet adds its own; 0: none is made.
    std::array<uint8_t, 66> header{};
};

// Of outer IPv4: over IPv6 there always is one (W44).
enum class UdpChecksum : uint8_t { always, never };

// Whether routers on the way may cut outer IPv4 datagrams: not where sizes are found by probes and by
// what routers say (RFC 1191), but where the far end cannot answer probes and routers may be silent.
enum class OuterFragments : uint8_t { forbidden, allowed };

struct LinkOptions {
    PortId port;
    uint16_t port_mtu_bytes;
    uint16_t vlan;  // with its priority, as vlan_tag(); kNoVlan: untagged
    MacAddress source_mac;
    MacAddress next_hop_mac;  // of the endpoint if on-link, else of the gateway
    Endpoint local;
    Endpoint remote;  // same family as local
    UdpChecksum udp_checksum = UdpChecksum::always;
    OuterFragments fragments = OuterFragments::forbidden;
};
Link make_link(const LinkOptions& options) noexcept;

// The largest inner packet for datagrams of at most `outer_mtu_bytes`, which the sender's padding
// must not make larger: a multiple of 16, or the 1420 bytes at which a peer's own MTU ends its
// padding (W04). This is what hosts and peers are told, and what padding goes up to here.
uint16_t inner_mtu(uint16_t outer_mtu_bytes, Family outer) noexcept;
// The datagram of an inner packet of `inner_mtu_bytes`, IP header included.
uint16_t outer_mtu(uint16_t inner_mtu_bytes, Family outer) noexcept;

}  // namespace meshgate
