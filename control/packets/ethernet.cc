// SPDX-License-Identifier: Apache-2.0
#include "control/packets/ethernet.h"

#include <algorithm>

#include "control/packets/ip.h"

namespace meshgate::control {

namespace {

constexpr size_t kHeaderLen = 14;
constexpr size_t kTaggedHeaderLen = 18;
constexpr uint16_t kVlanIdMask = 0xfff;

void put_u16(Frame& frame, uint16_t value) {
    frame.push_back(static_cast<uint8_t>(value >> 8));
    frame.push_back(static_cast<uint8_t>(value));
}

}  // namespace

Frame ethernet_header(const PortIdentity& port, const MacAddress& destination, uint16_t ethertype) {
    Frame frame;
    frame.reserve(96);
    frame.insert(frame.end(), destination.bytes.begin(), destination.bytes.end());
    frame.insert(frame.end(), port.mac.bytes.begin(), port.mac.bytes.end());
    if (port.vlan != 0) {
        put_u16(frame, kEthertypeVlan);
        put_u16(frame, port.vlan);
    }
    put_u16(frame, ethertype);
    return frame;
}

Frame ethernet_header_for(const PortIdentity& port, const MacAddress& destination,
                          std::span<const uint8_t> ip) {
    return ethernet_header(port, destination, is_ipv4(ip) ? kEthertypeIpv4 : kEthertypeIpv6);
}

std::optional<EthernetView> parse_ethernet(std::span<const uint8_t> frame, uint16_t vlan) noexcept {
    if (frame.size() < kHeaderLen)
        return std::nullopt;
    EthernetView view{.destination = read_mac(frame, 0),
                      .source = read_mac(frame, 6),
                      .ethertype = read_u16(frame, 12),
                      .payload = frame.subspan(kHeaderLen)};
    if (view.ethertype != kEthertypeVlan)
        return view;
    if (frame.size() < kTaggedHeaderLen ||
        (read_u16(frame, 14) & kVlanIdMask) != (vlan & kVlanIdMask))
        return std::nullopt;
    view.ethertype = read_u16(frame, 16);
    view.payload = frame.subspan(kTaggedHeaderLen);
    return view;
}

MacAddress read_mac(std::span<const uint8_t> bytes, size_t at) noexcept {
    MacAddress mac;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), 6, mac.bytes.begin());
    return mac;
}

MacAddress group_mac(const IpAddress& group) noexcept {
    const auto& b = group.bytes;
    if (group.is_v4())
        return {{0x01, 0x00, 0x5e, static_cast<uint8_t>(b[1] & 0x7f), b[2], b[3]}};
    return {{0x33, 0x33, b[12], b[13], b[14], b[15]}};
}

}  // namespace meshgate::control
