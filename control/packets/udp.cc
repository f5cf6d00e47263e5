// SPDX-License-Identifier: Apache-2.0
#include "control/packets/udp.h"

#include <algorithm>

#include "control/packets/ip.h"

namespace meshgate::control {

namespace {

constexpr size_t kUdpLen = 8;
constexpr size_t kMaxPayload = 1400;  // longest UDP payload that control sends
constexpr uint8_t kCs6 = 0xc0;        // RFC 2474: what keeps the network together goes first

}  // namespace

std::optional<UdpView> parse_udp(std::span<const uint8_t> ip) noexcept {
    if (ip.size() < kIpv6HeaderLen + kUdpLen || ip[0] >> 4 != 6 || ip[6] != kProtocolUdp)
        return std::nullopt;
    const size_t len = read_u16(ip, 4);
    if (len < kUdpLen || kIpv6HeaderLen + len > ip.size())
        return std::nullopt;
    ip = ip.first(kIpv6HeaderLen + len);
    if (read_u16(ip, kIpv6HeaderLen + 4) != len || read_u16(ip, kIpv6HeaderLen + 6) == 0 ||
        upper_checksum_of(ip, kProtocolUdp) != 0)
        return std::nullopt;
    return UdpView{.source = {IpAddress::v6(&ip[8]), read_u16(ip, kIpv6HeaderLen)},
                   .destination = {IpAddress::v6(&ip[24]), read_u16(ip, kIpv6HeaderLen + 2)},
                   .payload = ip.subspan(kIpv6HeaderLen + kUdpLen)};
}

Packet make_udp(Dataplane& dataplane, const UdpOptions& options, std::span<const uint8_t> payload) {
    if (payload.size() > kMaxPayload) {
        dataplane.count_drop(Drop::too_big);
        return {};
    }
    const size_t udp_len = kUdpLen + payload.size();
    Packet packet = dataplane.allocate(static_cast<uint16_t>(kIpv6HeaderLen + udp_len));
    if (!packet)
        return packet;
    const std::span<uint8_t> ip = packet.bytes();
    write_ip_header(ip, {.protocol = kProtocolUdp,
                         .source = options.source.address,
                         .destination = options.destination.address,
                         .hop_limit = options.hop_limit,
                         .traffic_class = kCs6});
    write_u16(ip, kIpv6HeaderLen, options.source.port);
    write_u16(ip, kIpv6HeaderLen + 2, options.destination.port);
    write_u16(ip, kIpv6HeaderLen + 4, udp_len);
    write_u16(ip, kIpv6HeaderLen + 6, 0);
    std::ranges::copy(payload, ip.begin() + kIpv6HeaderLen + kUdpLen);
    const uint16_t checksum = upper_checksum_of(ip, kProtocolUdp);
    write_u16(ip, kIpv6HeaderLen + 6, checksum == 0 ? 0xffff : checksum);
    return packet;
}

}  // namespace meshgate::control
