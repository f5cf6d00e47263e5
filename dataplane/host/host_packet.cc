// SPDX-License-Identifier: Apache-2.0
#include "dataplane/host/host_packet.h"

#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>

#include "base/checksum.h"

namespace meshgate {

namespace {

constexpr size_t kEthernetLen = 14;
constexpr size_t kIcmpLen = 8;
constexpr size_t kHopByHopLen = 8;  // with the router alert alone, as MLD has it

uint16_t number_at(std::span<const uint8_t> bytes, size_t offset) noexcept {
    return static_cast<uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

bool is_icmp_error(const HostPacket& packet) noexcept {
    if (packet.proto == IPPROTO_ICMPV6)
        return packet.icmp_type < ICMP6_ECHO_REQUEST;
    return packet.icmp_type == ICMP_DEST_UNREACH || packet.icmp_type == ICMP_TIME_EXCEEDED ||
           packet.icmp_type == ICMP_PARAMETERPROB;
}

bool is_echo(const HostPacket& packet) noexcept {
    if (packet.proto == IPPROTO_ICMPV6)
        return packet.icmp_type == ICMP6_ECHO_REQUEST || packet.icmp_type == ICMP6_ECHO_REPLY;
    return packet.icmp_type == ICMP_ECHO || packet.icmp_type == ICMP_ECHOREPLY;
}

// A packet that is quoted may end anywhere behind its ports.
void parse_transport(HostPacket& packet, std::span<const uint8_t> bytes) {
    const bool icmp = packet.proto == IPPROTO_ICMP || packet.proto == IPPROTO_ICMPV6;
    if (icmp && bytes.size() >= kIcmpLen) {
        packet.icmp_type = bytes[0];
        if (is_icmp_error(packet))
            packet.quoted = bytes.subspan(kIcmpLen);
        if (is_echo(packet))
            packet.source_port = packet.destination_port = number_at(bytes, 4);
    }
    if ((packet.proto == IPPROTO_TCP || packet.proto == IPPROTO_UDP) && bytes.size() >= 4) {
        packet.source_port = number_at(bytes, 0);
        packet.destination_port = number_at(bytes, 2);
    }
    if (packet.proto == IPPROTO_TCP && bytes.size() > 13)
        packet.tcp_flags = bytes[13];
}

enum class Extent : uint8_t { whole, quoted };

bool parse_v4(HostPacket& packet, std::span<const uint8_t> bytes, Extent extent) {
    if (bytes.size() < sizeof(iphdr))
        return false;
    const size_t header_len = (bytes[0] & 0xfU) * 4;
    const uint16_t total_len = number_at(bytes, 2);
    if (header_len < sizeof(iphdr) || total_len < header_len || bytes.size() < header_len)
        return false;
    if (extent == Extent::whole && total_len > bytes.size())
        return false;
    if (total_len < bytes.size())
        bytes = bytes.first(total_len);
    uint32_t address = 0;
    std::memcpy(&address, &bytes[12], sizeof address);
    packet.source = IpAddress::v4(address);
    std::memcpy(&address, &bytes[16], sizeof address);
    packet.destination = IpAddress::v4(address);
    packet.hop_limit = bytes[8];
    packet.proto = bytes[9];
    packet.later_fragment = (number_at(bytes, 6) & IP_OFFMASK) != 0;
    if (!packet.later_fragment)
        parse_transport(packet, bytes.subspan(header_len));
    return true;
}

bool parse_v6(HostPacket& packet, std::span<const uint8_t> bytes, Extent extent) {
    if (bytes.size() < sizeof(ip6_hdr))
        return false;
    const size_t total_len = sizeof(ip6_hdr) + number_at(bytes, 4);
    if (extent == Extent::whole && total_len > bytes.size())
        return false;
    if (total_len < bytes.size())
        bytes = bytes.first(total_len);
    packet.source = IpAddress::v6(&bytes[8]);
    packet.destination = IpAddress::v6(&bytes[24]);
    packet.hop_limit = bytes[7];
    packet.proto = bytes[6];
    auto rest = bytes.subspan(sizeof(ip6_hdr));
    if (packet.proto == IPPROTO_HOPOPTS && rest.size() >= kHopByHopLen && rest[1] == 0) {
        packet.proto = rest[0];
        rest = rest.subspan(kHopByHopLen);
    }
    if (packet.proto == IPPROTO_FRAGMENT && rest.size() >= sizeof(ip6_frag)) {
        packet.proto = rest[0];
        packet.later_fragment = (number_at(rest, 2) & 0xfff8) != 0;
        rest = rest.subspan(sizeof(ip6_frag));
    }
    if (!packet.later_fragment)
        parse_transport(packet, rest);
    return true;
}

bool parse_ip(HostPacket& packet, std::span<const uint8_t> bytes, Extent extent) {
    if (bytes.empty())
        return false;
    switch (bytes[0] >> 4) {
        case 4:
            packet.ether_type = ETHERTYPE_IP;
            return parse_v4(packet, bytes, extent);
        case 6:
            packet.ether_type = ETHERTYPE_IPV6;
            return parse_v6(packet, bytes, extent);
        default:
            return false;
    }
}

}  // namespace

std::optional<HostPacket> parse_host_frame(std::span<const uint8_t> frame) {
    if (frame.size() < kEthernetLen)
        return std::nullopt;
    HostPacket packet;
    packet.to_group = (frame[0] & 1) != 0;
    packet.ether_type = number_at(frame, 12);
    const uint16_t ether_type = packet.ether_type;
    if (ether_type != ETHERTYPE_IP && ether_type != ETHERTYPE_IPV6)
        return packet;
    if (!parse_ip(packet, frame.subspan(kEthernetLen), Extent::whole) ||
        packet.ether_type != ether_type)
        return std::nullopt;
    return packet;
}

std::optional<HostPacket> parse_host_ip(std::span<const uint8_t> bytes) {
    HostPacket packet;
    if (!parse_ip(packet, bytes, Extent::whole))
        return std::nullopt;
    return packet;
}

std::optional<HostPacket> parse_quoted_ip(std::span<const uint8_t> bytes) {
    HostPacket packet;
    if (!parse_ip(packet, bytes, Extent::quoted))
        return std::nullopt;
    return packet;
}

}  // namespace meshgate
