// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"

namespace meshgate::control {

// Turns an echo request into its reply, in place: addresses swapped, fresh hop limit, checksums.
// A record of the route goes on in the reply (RFC 1122, section 3.2.2.6). False when the packet is
// no whole, correct, unfragmented echo request, or is source-routed.
bool make_echo_reply(std::span<uint8_t> ip);

struct EchoFields {
    IpAddress source;
    IpAddress destination;  // same family
    uint16_t identifier = 0;
    uint16_t sequence = 0;
};
// Writes the echo request that fills `ip`, zeros as its data.
void write_echo_request(std::span<uint8_t> ip, const EchoFields& fields) noexcept;
// Empty unless it is a whole, correct, unfragmented echo reply.
std::optional<EchoFields> parse_echo_reply(std::span<uint8_t> ip) noexcept;

// "Host unreachable" (ICMPv4 3/1, ICMPv6 1/3) about `ip`, sent by `source`. Empty where none may be
// sent: about errors, fragments but the first, and what came from no single host (RFC 1122, section
// 3.2.2; RFC 4443, section 2.4).
std::vector<uint8_t> build_host_unreachable(std::span<const uint8_t> ip, const IpAddress& source);

// A router says that a WireGuard data message of ours did not fit (RFC 1191, RFC 8201).
struct PathMtuReport {
    Endpoint local, remote;  // of the datagram that did not fit
    // Empty: the router quoted no more than the UDP header, which is all that RFC 792 asks for.
    std::optional<uint32_t> receiver_index_le;
    uint16_t mtu_bytes = 0;  // outer, IP header included
};
// Empty unless it is such a report with a quoted UDP header, of a data message as far as one can
// see, and an MTU that a path can have.
std::optional<PathMtuReport> parse_path_mtu_report(std::span<const uint8_t> ip);

}  // namespace meshgate::control
