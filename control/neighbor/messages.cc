// SPDX-License-Identifier: Apache-2.0
#include "control/neighbor/messages.h"

#include <algorithm>

#include "control/packets/ip.h"

namespace meshgate::control {

namespace {

constexpr size_t kArpLen = 28;
constexpr uint16_t kArpRequest = 1;
constexpr uint16_t kArpReply = 2;

constexpr size_t kNdHeaderLen = 24;  // type, code, checksum, flags, target
constexpr size_t kNdOptionLen = 8;
constexpr uint8_t kNdHopLimit = 255;  // proves that no router forwarded it (RFC 4861, section 7.1)
constexpr uint8_t kSolicitation = 135;
constexpr uint8_t kAdvertisement = 136;
constexpr uint8_t kSourceLinkLayer = 1;
constexpr uint8_t kTargetLinkLayer = 2;
constexpr uint8_t kFlagRouter = 0x80;
constexpr uint8_t kFlagSolicited = 0x40;
constexpr uint8_t kFlagOverride = 0x20;

constexpr std::array<uint8_t, 16> kAllNodes{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

void put_u16(Frame& frame, uint16_t value) {
    frame.push_back(static_cast<uint8_t>(value >> 8));
    frame.push_back(static_cast<uint8_t>(value));
}

void put(Frame& frame, std::span<const uint8_t> bytes) {
    frame.insert(frame.end(), bytes.begin(), bytes.end());
}

bool is_host_mac(const MacAddress& mac) noexcept {
    return !mac.is_multicast() && !mac.is_zero();
}

std::optional<NeighborMessage> parse_arp(std::span<const uint8_t> arp) {
    // Hardware type Ethernet, protocol IPv4, address lengths 6 and 4.
    static constexpr std::array<uint8_t, 6> kHead{0, 1, 8, 0, 6, 4};
    if (arp.size() < kArpLen || !std::equal(kHead.begin(), kHead.end(), arp.begin()))
        return std::nullopt;
    const uint16_t operation = read_u16(arp, 6);
    const MacAddress sender_mac = read_mac(arp, 8);
    const IpAddress sender = read_ipv4(arp, 14);
    const IpAddress target = read_ipv4(arp, 24);
    const bool impossible_sender = sender.is_multicast() || sender.is_loopback() ||
                                   sender.v4_be() == 0xffffffff || !is_host_mac(sender_mac);
    if (impossible_sender || (operation != kArpRequest && operation != kArpReply))
        return std::nullopt;
    NeighborMessage message;
    // A gratuitous ARP in either form says where the sender is, and asks nothing.
    const bool gratuitous = sender == target;
    if (operation == kArpRequest && !gratuitous) {
        message.kind = NeighborMessage::Kind::question;
        message.sender = sender;
        message.target = target;
        message.sender_mac = sender_mac;
        return message;
    }
    if (sender.is_unspecified())
        return std::nullopt;
    message.kind = NeighborMessage::Kind::answer;
    message.sender = sender;
    message.target = sender;
    message.target_mac = sender_mac;
    message.asked_by = target;
    message.solicited = !gratuitous;
    return message;
}

// False when an option has length zero or runs past the end: then the whole message is void.
bool read_link_layer_option(std::optional<MacAddress>& mac, std::span<const uint8_t> options,
                            uint8_t wanted) {
    while (!options.empty()) {
        if (options.size() < 2 || options[1] == 0)
            return false;
        const size_t len = options[1] * kNdOptionLen;
        if (len > options.size())
            return false;
        if (options[0] == wanted && len == kNdOptionLen && is_host_mac(read_mac(options, 2)))
            mac = read_mac(options, 2);
        options = options.subspan(len);
    }
    return true;
}

std::optional<NeighborMessage> read_solicitation(const NeighborMessage& addresses,
                                                 std::span<const uint8_t> icmp) {
    NeighborMessage message = addresses;
    message.kind = NeighborMessage::Kind::question;
    if (!read_link_layer_option(message.sender_mac, icmp.subspan(kNdHeaderLen), kSourceLinkLayer))
        return std::nullopt;
    const bool probe = message.sender.is_unspecified();
    const bool to_group = message.asked_by == solicited_node_group(message.target);
    // RFC 4861, section 7.1.1: duplicate address detection goes to the group and names no MAC.
    if (probe && (!to_group || message.sender_mac))
        return std::nullopt;
    return message;
}

std::optional<NeighborMessage> read_advertisement(const NeighborMessage& addresses,
                                                  std::span<const uint8_t> icmp) {
    NeighborMessage message = addresses;
    message.kind = NeighborMessage::Kind::answer;
    message.solicited = (icmp[4] & kFlagSolicited) != 0;
    message.override_cache = (icmp[4] & kFlagOverride) != 0;
    if (!read_link_layer_option(message.target_mac, icmp.subspan(kNdHeaderLen), kTargetLinkLayer))
        return std::nullopt;
    if (message.sender.is_unspecified() || (message.asked_by.is_multicast() && message.solicited))
        return std::nullopt;
    return message;
}

std::optional<NeighborMessage> parse_nd(std::span<const uint8_t> ip) {
    if (ip.size() < kIpv6HeaderLen + kNdHeaderLen || ip[0] >> 4 != 6 || ip[6] != kProtocolIcmpv6 ||
        ip[7] != kNdHopLimit)
        return std::nullopt;
    const size_t payload_len = read_u16(ip, 4);
    if (payload_len < kNdHeaderLen || payload_len > ip.size() - kIpv6HeaderLen)
        return std::nullopt;
    const auto icmp = ip.subspan(kIpv6HeaderLen, payload_len);
    if (icmp[1] != 0 ||
        upper_checksum_of(ip.first(kIpv6HeaderLen + payload_len), kProtocolIcmpv6) != 0)
        return std::nullopt;
    NeighborMessage message;
    message.sender = IpAddress::v6(ip.data() + 8);
    message.asked_by = IpAddress::v6(ip.data() + 24);
    message.target = IpAddress::v6(icmp.data() + 8);
    const bool impossible = message.sender.is_multicast() || message.sender.is_loopback() ||
                            message.target.is_multicast() || message.target.is_unspecified() ||
                            message.target.is_loopback();
    if (impossible)
        return std::nullopt;
    if (icmp[0] == kSolicitation)
        return read_solicitation(message, icmp);
    if (icmp[0] == kAdvertisement)
        return read_advertisement(message, icmp);
    return std::nullopt;
}

struct ArpFields {
    uint16_t operation;
    IpAddress sender;
    MacAddress target_mac;
    IpAddress target;
    MacAddress destination;
};

Frame build_arp(const PortIdentity& port, const ArpFields& fields) {
    Frame frame = ethernet_header(port, fields.destination, kEthertypeArp);
    put_u16(frame, 1);       // Ethernet
    put_u16(frame, 0x0800);  // IPv4
    frame.push_back(6);
    frame.push_back(4);
    put_u16(frame, fields.operation);
    put(frame, port.mac.bytes);
    put(frame, std::span{fields.sender.bytes}.first(4));
    put(frame, fields.target_mac.bytes);
    put(frame, std::span{fields.target.bytes}.first(4));
    return frame;
}

struct NdFields {
    uint8_t type;
    uint8_t flags;
    IpAddress target;
    IpAddress source;
    IpAddress destination;
    MacAddress destination_mac;
};

Frame build_nd(const PortIdentity& port, const NdFields& fields) {
    Frame frame = ethernet_header(port, fields.destination_mac, kEthertypeIpv6);
    const size_t ip_at = frame.size();
    frame.resize(ip_at + kIpv6HeaderLen);
    const size_t icmp_at = frame.size();
    frame.insert(frame.end(), {fields.type, 0, 0, 0, fields.flags, 0, 0, 0});
    put(frame, fields.target.bytes);
    // A probe comes from nobody yet, and says no MAC address (RFC 4861, section 4.3).
    if (!fields.source.is_unspecified()) {
        frame.push_back(fields.type == kSolicitation ? kSourceLinkLayer : kTargetLinkLayer);
        frame.push_back(1);
        put(frame, port.mac.bytes);
    }
    const auto ip = std::span{frame}.subspan(ip_at);
    write_ip_header(ip, {.protocol = kProtocolIcmpv6,
                         .source = fields.source,
                         .destination = fields.destination,
                         .hop_limit = kNdHopLimit});
    write_u16(frame, icmp_at + 2, upper_checksum_of(ip, kProtocolIcmpv6));
    return frame;
}

}  // namespace

std::optional<NeighborMessage> parse_neighbor_frame(std::span<const uint8_t> frame, uint16_t vlan) {
    const auto ethernet = parse_ethernet(frame, vlan);
    if (!ethernet)
        return std::nullopt;
    std::optional<NeighborMessage> message;
    if (ethernet->ethertype == kEthertypeArp)
        message = parse_arp(ethernet->payload);
    if (ethernet->ethertype == kEthertypeIpv6)
        message = parse_nd(ethernet->payload);
    if (message) {
        message->frame_destination = ethernet->destination;
        message->frame_source = ethernet->source;
    }
    return message;
}

Frame build_question(const PortIdentity& port, const Question& question) {
    if (question.target.is_v4())
        return build_arp(port, {.operation = kArpRequest,
                                .sender = question.source,
                                .target_mac = {},
                                .target = question.target,
                                .destination = question.mac.value_or(kBroadcast)});
    const IpAddress group = solicited_node_group(question.target);
    return build_nd(port, {.type = kSolicitation,
                           .flags = 0,
                           .target = question.target,
                           .source = question.source,
                           .destination = question.mac ? question.target : group,
                           .destination_mac = question.mac.value_or(group_mac(group))});
}

Frame build_answer(const PortIdentity& port, const NeighborMessage& question) {
    const MacAddress asker = question.sender_mac.value_or(question.frame_source);
    if (question.target.is_v4())
        return build_arp(port, {.operation = kArpReply,
                                .sender = question.target,
                                .target_mac = asker,
                                .target = question.sender,
                                .destination = asker});
    // Who has no address yet is answered through the group of all (RFC 4861, section 7.2.4).
    const bool probe = question.sender.is_unspecified();
    const IpAddress all = IpAddress::v6(kAllNodes.data());
    const uint8_t flags = kFlagRouter | kFlagOverride | (probe ? 0 : kFlagSolicited);
    return build_nd(port, {.type = kAdvertisement,
                           .flags = flags,
                           .target = question.target,
                           .source = question.target,
                           .destination = probe ? all : question.sender,
                           .destination_mac = probe ? group_mac(all) : asker});
}

Frame build_probe(const PortIdentity& port, const IpAddress& address) {
    if (address.is_v4())
        return build_arp(port, {.operation = kArpRequest,
                                .sender = IpAddress::v4(0),
                                .target_mac = {},
                                .target = address,
                                .destination = kBroadcast});
    const IpAddress group = solicited_node_group(address);
    static constexpr std::array<uint8_t, 16> kUnspecified{};
    return build_nd(port, {.type = kSolicitation,
                           .flags = 0,
                           .target = address,
                           .source = IpAddress::v6(kUnspecified.data()),
                           .destination = group,
                           .destination_mac = group_mac(group)});
}

Frame build_announcement(const PortIdentity& port, const IpAddress& address) {
    if (address.is_v4())
        return build_arp(port, {.operation = kArpRequest,
                                .sender = address,
                                .target_mac = {},
                                .target = address,
                                .destination = kBroadcast});
    const IpAddress all = IpAddress::v6(kAllNodes.data());
    return build_nd(port, {.type = kAdvertisement,
                           .flags = kFlagRouter | kFlagOverride,
                           .target = address,
                           .source = address,
                           .destination = all,
                           .destination_mac = group_mac(all)});
}

IpAddress link_local_address(const MacAddress& mac) noexcept {
    const auto& m = mac.bytes;
    const std::array<uint8_t, 16> bytes{
        0xfe, 0x80, 0,    0,    0,    0,    0,   0, static_cast<uint8_t>(m[0] ^ 2),
        m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
    return IpAddress::v6(bytes.data());
}

IpAddress solicited_node_group(const IpAddress& address) noexcept {
    const auto& a = address.bytes;
    const std::array<uint8_t, 16> bytes{0xff, 2, 0, 0, 0,    0,     0,     0,
                                        0,    0, 0, 1, 0xff, a[13], a[14], a[15]};
    return IpAddress::v6(bytes.data());
}

}  // namespace meshgate::control
