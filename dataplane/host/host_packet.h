// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"

namespace meshgate {

// What the guard of the host wants to know of a packet.
struct HostPacket {
    uint16_t ether_type = 0;
    bool to_group = false;  // an Ethernet frame for several stations
    // Of IP alone.
    IpAddress source, destination;
    uint8_t proto = 0;
    uint8_t hop_limit = 0;
    bool later_fragment = false;  // has no ports
    // Of TCP and UDP; of an echo both are its identifier; else zero.
    uint16_t source_port = 0, destination_port = 0;
    uint8_t tcp_flags = 0;
    uint8_t icmp_type = 0;
    std::span<const uint8_t> quoted;  // of an ICMP error: the packet that it is about

    bool is_ip() const noexcept { return source.family != Family::none; }
};

// Empty when the bytes end inside a header, or an IP packet contradicts itself.
std::optional<HostPacket> parse_host_frame(std::span<const uint8_t> frame);
std::optional<HostPacket> parse_host_ip(std::span<const uint8_t> packet);
// What an ICMP error quotes: may end before the packet did.
std::optional<HostPacket> parse_quoted_ip(std::span<const uint8_t> packet);

}  // namespace meshgate
