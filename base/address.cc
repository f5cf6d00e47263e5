// SPDX-License-Identifier: Apache-2.0
#include "base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace meshgate {

namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<unsigned> parse_decimal(std::string_view text, unsigned max) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    const bool canonical = text.size() == 1 || (!text.empty() && text[0] != '0');
    if (!whole || !canonical || value > max)
        return std::nullopt;
    return value;
}

bool same_leading_bits(const std::array<uint8_t, 16>& a, const std::array<uint8_t, 16>& b,
                       unsigned nb_bits) noexcept {
    const unsigned whole = nb_bits / 8;
    if (std::memcmp(a.data(), b.data(), whole) != 0)
        return false;
    const unsigned rest = nb_bits % 8;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

}  // namespace

Prefix Prefix::network() const noexcept {
    Prefix result = *this;
    for (unsigned i = 0; i < 16; ++i) {
        const unsigned kept = std::min(std::max<unsigned>(len, 8 * i) - 8 * i, 8U);
        result.address.bytes[i] &= static_cast<uint8_t>(0xff00U >> kept);
    }
    return result;
}

bool Prefix::contains(const IpAddress& host) const noexcept {
    return host.family == address.family && same_leading_bits(host.bytes, address.bytes, len);
}

bool Prefix::overlaps(const Prefix& other) const noexcept {
    return other.address.family == address.family &&
           same_leading_bits(other.address.bytes, address.bytes, std::min(len, other.len));
}

std::optional<IpAddress> parse_address(std::string_view text) {
    const std::string copy{text};
    if (copy.size() != std::strlen(copy.c_str()))
        return std::nullopt;
    in_addr v4{};
    if (inet_pton(AF_INET, copy.c_str(), &v4) == 1)
        return IpAddress::v4(v4.s_addr);
    in6_addr v6{};
    if (inet_pton(AF_INET6, copy.c_str(), &v6) != 1)
        return std::nullopt;
    if (std::memcmp(v6.s6_addr, kMappedPrefix.data(), kMappedPrefix.size()) == 0) {
        uint32_t mapped_be = 0;
        std::memcpy(&mapped_be, v6.s6_addr + 12, sizeof mapped_be);
        return IpAddress::v4(mapped_be);
    }
    return IpAddress::v6(v6.s6_addr);
}

std::optional<Prefix> parse_prefix(std::string_view text) {
    const size_t slash = text.find('/');
    const auto address = parse_address(text.substr(0, slash));
    if (!address)
        return std::nullopt;
    if (slash == std::string_view::npos)
        return Prefix{*address, address->bits()};
    const auto len = parse_decimal(text.substr(slash + 1), address->bits());
    if (!len)
        return std::nullopt;
    return Prefix{*address, static_cast<uint8_t>(*len)};
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed)
        host = host.substr(1, host.size() - 2);
    const auto address = parse_address(host);
    const auto port = parse_decimal(text.substr(colon + 1), 65535);
    if (!address || !port || *port == 0)
        return std::nullopt;
    if ((host.find(':') != std::string_view::npos) != bracketed)
        return std::nullopt;
    return Endpoint{*address, static_cast<uint16_t>(*port)};
}

std::optional<MacAddress> parse_mac(std::string_view text) {
    if (text.size() != 17)
        return std::nullopt;
    MacAddress mac;
    for (size_t i = 0; i < 6; ++i) {
        const std::string_view byte = text.substr(3 * i, 2);
        const auto [end, error] = std::from_chars(byte.data(), byte.data() + 2, mac.bytes[i], 16);
        if (error != std::errc{} || end != byte.data() + 2)
            return std::nullopt;
        if (i < 5 && text[3 * i + 2] != ':')
            return std::nullopt;
    }
    return mac;
}

std::string to_string(const IpAddress& address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.family == Family::none)
        return "none";
    inet_ntop(address.is_v4() ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof text);
    return text;
}

std::string to_string(const Prefix& prefix) {
    return to_string(prefix.address) + "/" + std::to_string(prefix.len);
}

std::string to_string(const Endpoint& endpoint) {
    const std::string host = to_string(endpoint.address);
    const std::string port = std::to_string(endpoint.port);
    return endpoint.address.is_v6() ? "[" + host + "]:" + port : host + ":" + port;
}

std::string to_string(const MacAddress& mac) {
    char text[18];
    std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac.bytes[0], mac.bytes[1],
                  mac.bytes[2], mac.bytes[3], mac.bytes[4], mac.bytes[5]);
    return text;
}

}  // namespace meshgate
