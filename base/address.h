// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace meshgate {

enum class Family : uint8_t { none = 0, ipv4 = 4, ipv6 = 6 };

// An IPv4 address (first four bytes, the rest zero) or an IPv6 address, in network byte order.
// IPv4-mapped IPv6 addresses are turned into IPv4 by the parser, so that one host has one form.
struct IpAddress {
    Family family = Family::none;
    std::array<uint8_t, 16> bytes{};

    static IpAddress v4(uint32_t address_be) noexcept;
    static IpAddress v6(const uint8_t* sixteen_bytes) noexcept;

    // The first four bytes as they stand on the wire.
    uint32_t v4_be() const noexcept;
    bool is_v4() const noexcept { return family == Family::ipv4; }
    bool is_v6() const noexcept { return family == Family::ipv6; }
    bool is_unspecified() const noexcept;
    bool is_loopback() const noexcept;
    bool is_multicast() const noexcept;
    bool is_link_local() const noexcept;
    // 32 or 128.
    uint8_t bits() const noexcept { return is_v4() ? 32 : 128; }

    auto operator<=>(const IpAddress&) const = default;

private:
    uint64_t half(size_t offset) const noexcept {
        uint64_t value = 0;
        std::memcpy(&value, bytes.data() + offset, sizeof value);
        return value;
    }
};

inline IpAddress IpAddress::v4(uint32_t address_be) noexcept {
    IpAddress result;
    result.family = Family::ipv4;
    std::memcpy(result.bytes.data(), &address_be, sizeof address_be);
    return result;
}

inline IpAddress IpAddress::v6(const uint8_t* sixteen_bytes) noexcept {
    IpAddress result;
    result.family = Family::ipv6;
    std::memcpy(result.bytes.data(), sixteen_bytes, 16);
    return result;
}

inline uint32_t IpAddress::v4_be() const noexcept {
    uint32_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

inline bool IpAddress::is_unspecified() const noexcept {
    return (half(0) | half(8)) == 0;
}

inline bool IpAddress::is_loopback() const noexcept {
    if (is_v4())
        return bytes[0] == 127;
    constexpr std::array<uint8_t, 8> kLow{0, 0, 0, 0, 0, 0, 0, 1};
    return half(0) == 0 && std::memcmp(&bytes[8], kLow.data(), kLow.size()) == 0;
}

inline bool IpAddress::is_multicast() const noexcept {
    return is_v4() ? (bytes[0] & 0xf0) == 0xe0 : bytes[0] == 0xff;
}

inline bool IpAddress::is_link_local() const noexcept {
    if (is_v4())
        return bytes[0] == 169 && bytes[1] == 254;
    return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

struct Prefix {
    IpAddress address;  // may have host bits set: an interface address such as 10.1.0.1/24
    uint8_t len = 0;    // bits, 0..32 or 0..128

    // The same prefix with the host bits cleared.
    Prefix network() const noexcept;
    bool contains(const IpAddress& host) const noexcept;
    bool overlaps(const Prefix& other) const noexcept;

    auto operator<=>(const Prefix&) const = default;
};

// UDP address. `port` is in host byte order.
struct Endpoint {
    IpAddress address;
    uint16_t port = 0;

    auto operator<=>(const Endpoint&) const = default;
};

struct MacAddress {
    std::array<uint8_t, 6> bytes{};

    bool is_multicast() const noexcept { return (bytes[0] & 1) != 0; }
    bool is_zero() const noexcept { return *this == MacAddress{}; }

    auto operator<=>(const MacAddress&) const = default;
};

// Strict: no spaces, no leading zeros in IPv4, no zone index. Empty when not an address.
std::optional<IpAddress> parse_address(std::string_view text);
// "10.0.0.0/8"; a bare address is a host prefix (/32 or /128).
std::optional<Prefix> parse_prefix(std::string_view text);
// "192.0.2.1:51820" or "[2001:db8::1]:51820"; port 1..65535.
std::optional<Endpoint> parse_endpoint(std::string_view text);
std::optional<MacAddress> parse_mac(std::string_view text);

std::string to_string(const IpAddress& address);
std::string to_string(const Prefix& prefix);
std::string to_string(const Endpoint& endpoint);
std::string to_string(const MacAddress& mac);

}  // namespace meshgate
