// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// A UDP datagram over IPv6 without extension headers, as Babel and mesh control messages travel.
struct UdpView {
    Endpoint source;
    Endpoint destination;
    std::span<const uint8_t> payload;
};

// Empty when it is none, when a length lies, or when its checksum is wrong.
std::optional<UdpView> parse_udp(std::span<const uint8_t> ip) noexcept;

struct UdpOptions {
    Endpoint source;
    Endpoint destination;
    uint8_t hop_limit = 1;
};
// The whole IP packet, in an mbuf. None when the pool is empty (no_mbuf) or the payload exceeds what
// a tunnel carries whole (too_big): both are counted.
Packet make_udp(Dataplane& dataplane, const UdpOptions& options, std::span<const uint8_t> payload);

}  // namespace meshgate::control
