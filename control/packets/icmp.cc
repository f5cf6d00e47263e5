// SPDX-License-Identifier: Apache-2.0
#include "control/packets/icmp.h"

#include <algorithm>
#include <cstring>

#include "control/packets/ip.h"

namespace meshgate::control {

namespace {

constexpr size_t kIcmpHeaderLen = 8;
constexpr size_t kUdpHeaderLen = 8;

constexpr uint8_t kV4EchoReply = 0, kV4Unreachable = 3, kV4EchoRequest = 8;
constexpr uint8_t kV4HostUnreachable = 1, kV4FragmentationNeeded = 4;
constexpr uint8_t kV6Unreachable = 1, kV6TooBig = 2, kV6EchoRequest = 128, kV6EchoReply = 129;
constexpr uint8_t kV6AddressUnreachable = 3;

// What an error quotes, so that the whole stays below the least MTU (RFC 1812, RFC 4443).
constexpr size_t kV4QuoteLen = 576 - kIpv4HeaderLen - kIcmpHeaderLen;
constexpr size_t kV6QuoteLen = 1280 - kIpv6HeaderLen - kIcmpHeaderLen;
constexpr uint16_t kV4LeastMtu = 576;   // an ICMP that tells less is not believed (RFC 791)
constexpr uint16_t kV6LeastMtu = 1280;  // likewise (RFC 8200, section 5)

size_t v4_header_len(std::span<const uint8_t> ip) noexcept {
    return static_cast<size_t>(ip[0] & 15) * 4;
}

// The packet without what follows it in the frame; empty when it is cut, a fragment, or has another
// protocol.
std::span<uint8_t> whole_v4(std::span<uint8_t> ip, uint8_t protocol) noexcept {
    if (ip.size() < kIpv4HeaderLen || ip[0] >> 4 != 4 || ip[9] != protocol)
        return {};
    const size_t len = read_u16(ip, 2);
    const bool fragment = (read_u16(ip, 6) & 0x3fff) != 0;
    if (fragment || v4_header_len(ip) < kIpv4HeaderLen || len < v4_header_len(ip) ||
        len > ip.size())
        return {};
    return ip.first(len);
}

// RFC 1122, section 3.2.2.6: the reply carries the request's options, and a record of the route has
// this host's address as well. False where it cannot: options that contradict themselves, and
// source routes, which nobody should be sent by (RFC 6274, section 3.13.2).
bool update_options(std::span<uint8_t> options, std::span<const uint8_t> own_address) noexcept {
    constexpr uint8_t kEnd = 0, kNop = 1, kRecordRoute = 7, kLooseRoute = 131, kStrictRoute = 137;
    while (!options.empty() && options[0] != kEnd) {
        if (options[0] == kNop) {
            options = options.subspan(1);
            continue;
        }
        if (options.size() < 2 || options[1] < 2 || options[1] > options.size() ||
            options[0] == kLooseRoute || options[0] == kStrictRoute)
            return false;
        const auto option = options.first(options[1]);
        if (option[0] == kRecordRoute) {
            // The pointer counts from 1 and leads to the first free place.
            if (option.size() < 3 || option[2] < 4)
                return false;
            const size_t at = option[2] - 1U;
            if (at + own_address.size() <= option.size()) {
                std::ranges::copy(own_address, option.begin() + static_cast<ptrdiff_t>(at));
                option[2] = static_cast<uint8_t>(option[2] + own_address.size());
            }
        }
        options = options.subspan(option.size());
    }
    return true;
}

std::span<uint8_t> whole_v6(std::span<uint8_t> ip, uint8_t protocol) noexcept {
    if (ip.size() < kIpv6HeaderLen || ip[0] >> 4 != 6 || ip[6] != protocol)
        return {};
    const size_t len = kIpv6HeaderLen + read_u16(ip, 4);
    return len > ip.size() ? std::span<uint8_t>{} : ip.first(len);
}

bool make_v4_reply(std::span<uint8_t> ip) noexcept {
    ip = whole_v4(ip, kProtocolIcmp);
    if (ip.empty() || ip.size() < v4_header_len(ip) + kIcmpHeaderLen)
        return false;
    const auto header = ip.first(v4_header_len(ip));
    const auto icmp = ip.subspan(header.size());
    if (icmp[0] != kV4EchoRequest || icmp[1] != 0 || checksum_of(icmp) != 0)
        return false;
    if (!update_options(header.subspan(kIpv4HeaderLen), header.subspan(16, 4)))
        return false;
    icmp[0] = kV4EchoReply;
    write_u16(icmp, 2, 0);
    write_u16(icmp, 2, checksum_of(icmp));
    std::swap_ranges(ip.begin() + 12, ip.begin() + 16, ip.begin() + 16);
    ip[8] = kIpHopLimit;
    write_u16(ip, 10, 0);
    write_u16(ip, 10, checksum_of(header));
    return true;
}

bool make_v6_reply(std::span<uint8_t> ip) noexcept {
    ip = whole_v6(ip, kProtocolIcmpv6);
    if (ip.size() < kIpv6HeaderLen + kIcmpHeaderLen)
        return false;
    const auto icmp = ip.subspan(kIpv6HeaderLen);
    if (icmp[0] != kV6EchoRequest || icmp[1] != 0 || upper_checksum_of(ip, kProtocolIcmpv6) != 0)
        return false;
    icmp[0] = kV6EchoReply;
    std::swap_ranges(ip.begin() + 8, ip.begin() + 24, ip.begin() + 24);
    ip[7] = kIpHopLimit;
    write_u16(icmp, 2, 0);
    write_u16(icmp, 2, upper_checksum_of(ip, kProtocolIcmpv6));
    return true;
}

bool is_single_host(const IpAddress& address) noexcept {
    return address.family != Family::none && !address.is_multicast() && !address.is_unspecified() &&
           !address.is_loopback() && !(address.is_v4() && address.bytes[0] >= 240);
}

bool answers_to_errors(std::span<const uint8_t> ip) noexcept {
    if (ip[0] >> 4 == 4) {
        const size_t header_len = static_cast<size_t>(ip[0] & 15) * 4;
        const bool later_fragment = (read_u16(ip, 6) & 0x1fff) != 0;
        if (later_fragment || header_len < kIpv4HeaderLen || ip.size() < header_len + 1)
            return false;
        const uint8_t type = ip[header_len];
        return ip[9] != kProtocolIcmp || type == kV4EchoRequest || type == kV4EchoReply;
    }
    // ICMPv6 errors are the types below 128.
    return ip[6] != kProtocolIcmpv6 || (ip.size() > kIpv6HeaderLen && ip[kIpv6HeaderLen] >= 128);
}

struct Quoted {
    std::span<const uint8_t> datagram;  // from its UDP header on
    IpAddress source, destination;
};

std::optional<Quoted> read_quoted(std::span<const uint8_t> ip) {
    if (ip.size() >= kIpv4HeaderLen && ip[0] == 0x45 && ip[9] == kProtocolUdp) {
        if ((read_u16(ip, 6) & 0x1fff) != 0)
            return std::nullopt;
        return Quoted{ip.subspan(kIpv4HeaderLen), read_ipv4(ip, 12), read_ipv4(ip, 16)};
    }
    if (ip.size() >= kIpv6HeaderLen && ip[0] >> 4 == 6 && ip[6] == kProtocolUdp)
        return Quoted{ip.subspan(kIpv6HeaderLen), IpAddress::v6(ip.data() + 8),
                      IpAddress::v6(ip.data() + 24)};
    return std::nullopt;
}

}  // namespace

bool make_echo_reply(std::span<uint8_t> ip) {
    if (ip.empty())
        return false;
    return ip[0] >> 4 == 4 ? make_v4_reply(ip) : make_v6_reply(ip);
}

void write_echo_request(std::span<uint8_t> ip, const EchoFields& fields) noexcept {
    const bool v4 = fields.source.is_v4();
    std::ranges::fill(ip, uint8_t{0});
    write_ip_header(ip, {.protocol = v4 ? kProtocolIcmp : kProtocolIcmpv6,
                         .source = fields.source,
                         .destination = fields.destination});
    const auto icmp = ip.subspan(v4 ? kIpv4HeaderLen : kIpv6HeaderLen);
    icmp[0] = v4 ? kV4EchoRequest : kV6EchoRequest;
    write_u16(icmp, 4, fields.identifier);
    write_u16(icmp, 6, fields.sequence);
    write_u16(icmp, 2, v4 ? checksum_of(icmp) : upper_checksum_of(ip, kProtocolIcmpv6));
}

std::optional<EchoFields> parse_echo_reply(std::span<uint8_t> ip) noexcept {
    const bool v4 = is_ipv4(ip);
    ip = v4 ? whole_v4(ip, kProtocolIcmp) : whole_v6(ip, kProtocolIcmpv6);
    const size_t header_len = ip.empty() ? 0 : v4 ? v4_header_len(ip) : kIpv6HeaderLen;
    if (ip.size() < header_len + kIcmpHeaderLen || ip.empty())
        return std::nullopt;
    const auto icmp = ip.subspan(header_len);
    const uint16_t checksum = v4 ? checksum_of(icmp) : upper_checksum_of(ip, kProtocolIcmpv6);
    if (icmp[0] != (v4 ? kV4EchoReply : kV6EchoReply) || icmp[1] != 0 || checksum != 0)
        return std::nullopt;
    return EchoFields{.source = source_of(ip),
                      .destination = destination_of(ip),
                      .identifier = read_u16(icmp, 4),
                      .sequence = read_u16(icmp, 6)};
}

std::vector<uint8_t> build_host_unreachable(std::span<const uint8_t> ip, const IpAddress& source) {
    const IpAddress destination = source_of(ip);
    if (!is_single_host(destination) || source.family != destination.family ||
        !answers_to_errors(ip))
        return {};
    const bool v4 = source.is_v4();
    const size_t header_len = v4 ? kIpv4HeaderLen : kIpv6HeaderLen;
    const auto quote = ip.first(std::min(ip.size(), v4 ? kV4QuoteLen : kV6QuoteLen));
    std::vector<uint8_t> error(header_len + kIcmpHeaderLen);
    error.insert(error.end(), quote.begin(), quote.end());
    const std::span<uint8_t> out{error};
    write_ip_header(out, {.protocol = v4 ? kProtocolIcmp : kProtocolIcmpv6,
                          .source = source,
                          .destination = destination});
    const auto icmp = out.subspan(header_len);
    icmp[0] = v4 ? kV4Unreachable : kV6Unreachable;
    icmp[1] = v4 ? kV4HostUnreachable : kV6AddressUnreachable;
    write_u16(icmp, 2, v4 ? checksum_of(icmp) : upper_checksum_of(out, kProtocolIcmpv6));
    return error;
}

std::optional<PathMtuReport> parse_path_mtu_report(std::span<const uint8_t> ip) {
    if (ip.size() < kIpv4HeaderLen)
        return std::nullopt;
    const bool v4 = ip[0] == 0x45 && ip[9] == kProtocolIcmp;
    const bool v6 = ip[0] >> 4 == 6 && ip[6] == kProtocolIcmpv6;
    const size_t header_len = v4 ? kIpv4HeaderLen : kIpv6HeaderLen;
    if ((!v4 && !v6) || ip.size() < header_len + kIcmpHeaderLen)
        return std::nullopt;
    const auto icmp = ip.subspan(header_len);
    const bool too_big = v4 ? icmp[0] == kV4Unreachable && icmp[1] == kV4FragmentationNeeded
                            : icmp[0] == kV6TooBig && icmp[1] == 0;
    // In ICMPv6 the MTU has 32 bits: more than 16 of them used can only be too large to matter.
    const uint16_t mtu_bytes = read_u16(icmp, 6);
    const bool plausible =
        mtu_bytes >= (v4 ? kV4LeastMtu : kV6LeastMtu) && (v4 || read_u16(icmp, 4) == 0);
    const auto quoted = read_quoted(icmp.subspan(kIcmpHeaderLen));
    if (!too_big || !plausible || !quoted || quoted->source.is_v4() != v4)
        return std::nullopt;
    const auto& udp = quoted->datagram;
    if (udp.size() < kUdpHeaderLen)
        return std::nullopt;
    PathMtuReport report{.local = {quoted->source, read_u16(udp, 0)},
                         .remote = {quoted->destination, read_u16(udp, 2)},
                         .receiver_index_le = std::nullopt,
                         .mtu_bytes = mtu_bytes};
    // Behind the UDP header message type 4 and the receiver index.
    const auto message = udp.subspan(kUdpHeaderLen);
    if (message.size() < 8)
        return report;
    static constexpr std::array<uint8_t, 4> kData{4, 0, 0, 0};
    if (!std::equal(kData.begin(), kData.end(), message.begin()))
        return std::nullopt;
    uint32_t receiver_index_le = 0;
    std::memcpy(&receiver_index_le, message.data() + 4, sizeof receiver_index_le);
    report.receiver_index_le = receiver_index_le;
    return report;
}

}  // namespace meshgate::control
