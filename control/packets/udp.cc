// SPDX-License-Identifier: Apache-2.0
#include "control/packets/udp.h"

#include <algorithm>

namespace meshgate::mesh {

namespace {

constexpr size_t kIpv6Len = 40;
constexpr size_t kUdpLen = 8;
constexpr uint8_t kUdp = 17;
constexpr size_t kMaxPayload = 1400;  // longest UDP payload that control sends
constexpr uint8_t kCs6 = 0xc0;        // RFC 2474: what keeps the network together goes first

uint16_t read_u16(std::span<const uint8_t> bytes, size_t at) noexcept {
    return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void write_u16(std::span<uint8_t> bytes, size_t at, size_t value) noexcept {
    bytes[at] = static_cast<uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<uint8_t>(value);
}

// RFC 8200 section 8.1, over a whole packet; 0 when the one that it holds is right.
uint16_t udp_checksum(std::span<const uint8_t> ip) noexcept {
    uint32_t sum = static_cast<uint32_t>(ip.size() - kIpv6Len) + kUdp;
    for (size_t at = 8; at < ip.size(); at += 2)
        sum += static_cast<uint32_t>(ip[at] << 8) + (at + 1 < ip.size() ? ip[at + 1] : 0U);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

}  // namespace

std::optional<UdpView> parse_udp(std::span<const uint8_t> ip) noexcept {
    if (ip.size() < kIpv6Len + kUdpLen || ip[0] >> 4 != 6 || ip[6] != kUdp)
        return std::nullopt;
    const size_t len = read_u16(ip, 4);
    if (len < kUdpLen || kIpv6Len + len > ip.size())
        return std::nullopt;
    ip = ip.first(kIpv6Len + len);
    if (read_u16(ip, kIpv6Len + 4) != len || read_u16(ip, kIpv6Len + 6) == 0 ||
        udp_checksum(ip) != 0)
        return std::nullopt;
    return UdpView{.source = {IpAddress::v6(&ip[8]), read_u16(ip, kIpv6Len)},
                   .destination = {IpAddress::v6(&ip[24]), read_u16(ip, kIpv6Len + 2)},
                   .payload = ip.subspan(kIpv6Len + kUdpLen)};
}

Packet make_udp(Dataplane& dataplane, const UdpOptions& options, std::span<const uint8_t> payload) {
    if (payload.size() > kMaxPayload)
        return {};
    const size_t udp_len = kUdpLen + payload.size();
    Packet packet = dataplane.allocate(static_cast<uint16_t>(kIpv6Len + udp_len));
    if (!packet)
        return packet;
    const std::span<uint8_t> ip = packet.bytes();
    std::ranges::fill(ip.first(kIpv6Len), uint8_t{0});
    ip[0] = 0x60 | kCs6 >> 4;
    ip[1] = (kCs6 & 0xf) << 4;
    write_u16(ip, 4, udp_len);
    ip[6] = kUdp;
    ip[7] = options.hop_limit;
    std::ranges::copy(options.source.address.bytes, ip.begin() + 8);
    std::ranges::copy(options.destination.address.bytes, ip.begin() + 24);
    write_u16(ip, kIpv6Len, options.source.port);
    write_u16(ip, kIpv6Len + 2, options.destination.port);
    write_u16(ip, kIpv6Len + 4, udp_len);
    write_u16(ip, kIpv6Len + 6, 0);
    std::ranges::copy(payload, ip.begin() + kIpv6Len + kUdpLen);
    const uint16_t checksum = udp_checksum(ip);
    write_u16(ip, kIpv6Len + 6, checksum == 0 ? 0xffff : checksum);
    return packet;
}

}  // namespace meshgate::mesh
