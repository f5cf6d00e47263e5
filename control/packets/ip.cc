// SPDX-License-Identifier: Apache-2.0
#include "control/packets/ip.h"

#include <endian.h>

#include <algorithm>
#include <cstring>

#include "base/checksum.h"

namespace meshgate::control {

namespace {

uint16_t fold(uint64_t sum) noexcept {
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(sum);
}

// In host order.
uint32_t sum_of(std::span<const uint8_t> bytes) noexcept {
    return be16toh(fold(internet_sum(bytes)));
}

}  // namespace

IpAddress read_ipv4(std::span<const uint8_t> bytes, size_t at) noexcept {
    uint32_t address_be = 0;
    std::memcpy(&address_be, bytes.data() + at, sizeof address_be);
    return IpAddress::v4(address_be);
}

IpAddress source_of(std::span<const uint8_t> ip) noexcept {
    if (ip.size() >= kIpv4HeaderLen && ip[0] >> 4 == 4)
        return read_ipv4(ip, 12);
    if (ip.size() >= kIpv6HeaderLen && ip[0] >> 4 == 6)
        return IpAddress::v6(ip.data() + 8);
    return {};
}

IpAddress destination_of(std::span<const uint8_t> ip) noexcept {
    if (ip.size() >= kIpv4HeaderLen && ip[0] >> 4 == 4)
        return read_ipv4(ip, 16);
    if (ip.size() >= kIpv6HeaderLen && ip[0] >> 4 == 6)
        return IpAddress::v6(ip.data() + 24);
    return {};
}

uint16_t checksum_of(std::span<const uint8_t> bytes, uint32_t sum) noexcept {
    return static_cast<uint16_t>(~fold(uint64_t{sum_of(bytes)} + sum));
}

uint16_t upper_checksum_of(std::span<const uint8_t> ip, uint8_t protocol,
                           size_t options_len) noexcept {
    const auto payload = ip.subspan(kIpv6HeaderLen + options_len);
    const auto len = static_cast<uint32_t>(payload.size());
    return checksum_of(payload, sum_of(ip.subspan(8, 32)) + len + protocol);
}

void write_ip_header(std::span<uint8_t> ip, const IpFields& fields) noexcept {
    const bool v4 = fields.source.is_v4();
    std::ranges::fill(ip.first(v4 ? kIpv4HeaderLen : kIpv6HeaderLen), uint8_t{0});
    if (v4) {
        ip[0] = 0x45;
        ip[1] = fields.traffic_class;
        write_u16(ip, 2, ip.size());
        ip[8] = fields.hop_limit;
        ip[9] = fields.protocol;
        std::copy_n(fields.source.bytes.begin(), 4, ip.begin() + 12);
        std::copy_n(fields.destination.bytes.begin(), 4, ip.begin() + 16);
        write_u16(ip, 10, checksum_of(ip.first(kIpv4HeaderLen)));
        return;
    }
    ip[0] = static_cast<uint8_t>(0x60 | fields.traffic_class >> 4);
    ip[1] = static_cast<uint8_t>(fields.traffic_class << 4);
    write_u16(ip, 4, ip.size() - kIpv6HeaderLen);
    ip[6] = fields.protocol;
    ip[7] = fields.hop_limit;
    std::ranges::copy(fields.source.bytes, ip.begin() + 8);
    std::ranges::copy(fields.destination.bytes, ip.begin() + 24);
}

}  // namespace meshgate::control
