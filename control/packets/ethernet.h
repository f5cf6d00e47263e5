// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"

namespace meshgate::control {

constexpr uint16_t kEthertypeIpv4 = 0x0800;
constexpr uint16_t kEthertypeArp = 0x0806;
constexpr uint16_t kEthertypeVlan = 0x8100;
constexpr uint16_t kEthertypeIpv6 = 0x86dd;
constexpr MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// How a port speaks.
struct PortIdentity {
    MacAddress mac;
    uint16_t vlan = 0;  // with its priority, as vlan_tag(); 0: untagged
};

using Frame = std::vector<uint8_t>;

// The header with the port's tag when there is one; both the start of every frame built here and
// what packets for a resolved next hop get in front.
Frame ethernet_header(const PortIdentity& port, const MacAddress& destination, uint16_t ethertype);
// Of an IP packet.
Frame ethernet_header_for(const PortIdentity& port, const MacAddress& destination,
                          std::span<const uint8_t> ip);

struct EthernetView {
    MacAddress destination;
    MacAddress source;
    uint16_t ethertype;
    std::span<const uint8_t> payload;  // with padding
};
// Empty when it is too short or of another VLAN. A frame without a tag passes on a tagged port too:
// the port may have stripped it.
std::optional<EthernetView> parse_ethernet(std::span<const uint8_t> frame, uint16_t vlan) noexcept;

MacAddress read_mac(std::span<const uint8_t> bytes, size_t at) noexcept;
// Where frames to a multicast group go (RFC 1112, section 6.4; RFC 2464, section 7).
MacAddress group_mac(const IpAddress& group) noexcept;

}  // namespace meshgate::control
