// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"

// What the control thread knows of IP headers: reading and writing their fields, and the Internet
// checksum (RFC 1071). Nothing here checks lengths; callers do.
namespace meshgate::control {

constexpr size_t kIpv4HeaderLen = 20;  // without options
constexpr size_t kIpv6HeaderLen = 40;
constexpr uint8_t kIpHopLimit = 64;

// Protocol numbers, and next headers.
constexpr uint8_t kProtocolIcmp = 1;
constexpr uint8_t kProtocolUdp = 17;
constexpr uint8_t kProtocolIcmpv6 = 58;

inline uint16_t read_u16(std::span<const uint8_t> bytes, size_t at) noexcept {
    return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

inline void write_u16(std::span<uint8_t> bytes, size_t at, size_t value) noexcept {
    bytes[at] = static_cast<uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<uint8_t>(value);
}

inline bool is_ipv4(std::span<const uint8_t> ip) noexcept {
    return !ip.empty() && ip[0] >> 4 == 4;
}

IpAddress read_ipv4(std::span<const uint8_t> bytes, size_t at) noexcept;

// Where an IP packet says that it comes from; family none when it is too short to say.
IpAddress source_of(std::span<const uint8_t> ip) noexcept;

// Where it wants to go, likewise.
IpAddress destination_of(std::span<const uint8_t> ip) noexcept;

// The checksum of `bytes`; 0 when they hold their own and it is right. `sum`: of what else belongs
// to it.
uint16_t checksum_of(std::span<const uint8_t> bytes, uint32_t sum = 0) noexcept;
// The same for what an IPv6 packet carries, with its pseudo header (RFC 8200, section 8.1). `ip`
// ends where the packet does; `protocol` comes after `options_len` bytes of extension headers.
uint16_t upper_checksum_of(std::span<const uint8_t> ip, uint8_t protocol,
                           size_t options_len = 0) noexcept;

struct IpFields {
    uint8_t protocol;
    IpAddress source;
    IpAddress destination;  // same family
    uint8_t hop_limit = kIpHopLimit;
    uint8_t traffic_class = 0;
};
// Writes the header of the packet that fills `ip`, checksum included.
void write_ip_header(std::span<uint8_t> ip, const IpFields& fields) noexcept;

}  // namespace meshgate::control
