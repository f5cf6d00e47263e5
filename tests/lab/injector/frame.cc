// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/injector/frame.h"

#include <algorithm>

namespace meshgate::lab {
namespace {

constexpr uint8_t kUdp = 17;
constexpr size_t kEthLen = 14, kVlanLen = 4, kIpv6Len = 40, kUdpLen = 8;

uint16_t load_be16(const Frame& frame, size_t at) {
    return static_cast<uint16_t>(frame[at] << 8 | frame[at + 1]);
}

void store_be16(Frame& frame, size_t at, size_t value) {
    frame[at] = static_cast<uint8_t>(value >> 8);
    frame[at + 1] = static_cast<uint8_t>(value);
}

uint64_t sum_words(const Frame& frame, size_t from, size_t to) {
    uint64_t sum = 0;
    for (size_t i = from; i < to; i += 2)
        sum += static_cast<uint64_t>(frame[i] << 8 | (i + 1 < to ? frame[i + 1] : 0));
    return sum;
}

uint16_t fold(uint64_t sum) {
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

struct IpPlace {
    size_t at = 0;
    bool is_v6 = false;
};

std::optional<IpPlace> find_ip(const Frame& frame) {
    if (frame.size() < kEthLen + kVlanLen + kIpv6Len / 2)
        return std::nullopt;
    const bool tagged = load_be16(frame, 12) == 0x8100;
    const size_t at = kEthLen + (tagged ? kVlanLen : 0);
    const uint16_t type = load_be16(frame, at - 2);
    if (type == 0x0800)
        return IpPlace{at, false};
    if (type == 0x86dd && frame.size() >= at + kIpv6Len)
        return IpPlace{at, true};
    return std::nullopt;
}

void repair_ipv4_checksum(Frame& frame, const UdpPlace& place) {
    store_be16(frame, place.ip + 10, 0);
    store_be16(frame, place.ip + 10, fold(sum_words(frame, place.ip, place.udp)));
}

}  // namespace

size_t ip_len(const Frame& frame) {
    const auto ip = find_ip(frame);
    if (!ip)
        return 0;
    return ip->is_v6 ? kIpv6Len + load_be16(frame, ip->at + 4) : load_be16(frame, ip->at + 2);
}

std::optional<UdpPlace> find_udp(const Frame& frame) {
    const auto ip = find_ip(frame);
    if (!ip)
        return std::nullopt;
    const size_t header_len = ip->is_v6 ? kIpv6Len : (frame[ip->at] & 15U) * size_t{4};
    const uint8_t protocol = frame[ip->at + (ip->is_v6 ? 6 : 9)];
    const bool fragment = !ip->is_v6 && (load_be16(frame, ip->at + 6) & 0x3fff) != 0;
    const size_t udp = ip->at + header_len;
    const size_t end = ip->at + ip_len(frame);
    if (protocol != kUdp || fragment || end > frame.size() || udp + kUdpLen > end)
        return std::nullopt;
    return UdpPlace{ip->at, udp, udp + kUdpLen, end, ip->is_v6};
}

void flip_bit(Frame& frame, const UdpPlace& place, uint64_t random) {
    const size_t nb_bits = (place.end - place.payload) * 8;
    if (nb_bits == 0)
        return;
    const size_t bit = random % nb_bits;
    frame[place.payload + bit / 8] ^= static_cast<uint8_t>(1U << bit % 8);
}

void truncate(Frame& frame, const UdpPlace& place, uint64_t random) {
    const size_t payload_len = place.end - place.payload;
    if (payload_len == 0)
        return;
    const size_t end = place.payload + random % payload_len;
    frame.resize(end);
    store_be16(frame, place.udp + 4, end - place.udp);
    if (place.is_v6) {
        store_be16(frame, place.ip + 4, end - place.udp);
        return;
    }
    store_be16(frame, place.ip + 2, end - place.ip);
    repair_ipv4_checksum(frame, place);
}

void mark_ce(Frame& frame, const UdpPlace& place) {
    if (place.is_v6) {
        frame[place.ip + 1] |= 0x30;  // the low bits of the traffic class
        return;
    }
    frame[place.ip + 1] |= 3;
    repair_ipv4_checksum(frame, place);
}

void repair_checksum(Frame& frame, const UdpPlace& place) {
    const size_t end = std::min(place.end, frame.size());
    store_be16(frame, place.udp + 6, 0);
    const size_t addresses = place.ip + (place.is_v6 ? 8 : 12);
    uint64_t sum = kUdp + (end - place.udp);
    sum += sum_words(frame, addresses, addresses + (place.is_v6 ? 32 : 8));
    sum += sum_words(frame, place.udp, end);
    const uint16_t checksum = fold(sum);
    store_be16(frame, place.udp + 6, checksum == 0 ? 0xffff : checksum);
}

}  // namespace meshgate::lab
