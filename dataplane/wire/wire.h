// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "base/address.h"
#include "base/checksum.h"
#include "base/protocol_numbers.h"

namespace meshgate {

// WireGuard messages (paper, section 5.4). Integers are little-endian on the wire.
struct [[gnu::packed]] TransportHeader {
    uint32_t type_le;  // 4; the three reserved bytes belong to the word and must be zero (W01)
    uint32_t receiver_index_le;
    uint64_t counter_le;
};
static_assert(sizeof(TransportHeader) == 16);

constexpr uint32_t kMessageInitiation = 1;
constexpr uint32_t kMessageResponse = 2;
constexpr uint32_t kMessageCookieReply = 3;
constexpr uint32_t kMessageTransport = 4;
constexpr uint16_t kTagLen = 16;
constexpr uint16_t kMinTransportLen = sizeof(TransportHeader) + kTagLen;
constexpr uint16_t kPadding = 16;  // plaintext is padded to a multiple (W04)

// ICMP and ICMPv6 as far as the gateway speaks them (RFC 792, RFC 4443, RFC 4861).
struct [[gnu::packed]] IcmpHeader {
    uint8_t type;
    uint8_t code;
    uint16_t checksum_be;
    uint32_t rest_be;  // identifier and sequence, or the MTU
};
static_assert(sizeof(IcmpHeader) == 8);

constexpr uint8_t kIcmpUnreachable = 3;
constexpr uint8_t kIcmpEchoRequest = 8;
constexpr uint8_t kIcmpTimeExceeded = 11;
constexpr uint8_t kIcmpEchoReply = 0;
constexpr uint8_t kIcmp6Unreachable = 1;
constexpr uint8_t kIcmp6TooBig = 2;
constexpr uint8_t kIcmp6TimeExceeded = 3;
constexpr uint8_t kIcmp6EchoRequest = 128;
constexpr uint8_t kIcmp6EchoReply = 129;
constexpr uint8_t kIcmp6MldQuery = 130;
constexpr uint8_t kIcmp6RouterSolicit = 133;
constexpr uint8_t kIcmp6Redirect = 137;
constexpr uint8_t kNeighborHopLimit = 255;

// RFC 8200, section 4.5.
struct [[gnu::packed]] FragmentHeader {
    uint8_t next_header;
    uint8_t reserved;
    uint16_t offset_and_more_be;  // the offset in units of 8 bytes above three bits
    uint32_t identification_be;
};
static_assert(sizeof(FragmentHeader) == 8);

constexpr uint8_t kProtoIcmp = 1;
constexpr uint8_t kProtoTcp = 6;
constexpr uint8_t kProtoUdp = 17;
constexpr uint8_t kProtoFragment = 44;
constexpr uint8_t kProtoIcmp6 = 58;

constexpr uint16_t kIpv4Len = 20;
constexpr uint16_t kIpv6Len = 40;
constexpr uint16_t kIpv6MinMtu = 1280;  // RFC 8200, section 5
constexpr uint16_t kUdpLen = 8;
constexpr uint16_t kEtherLen = RTE_ETHER_HDR_LEN;
constexpr uint16_t kVlanLen = 4;

constexpr uint8_t kEcnMask = 3;
constexpr uint8_t kEcnCe = 3;
constexpr uint8_t kEcnEct0 = 2;

// Headers may stand at any address inside a frame; the types are packed.
template <typename Header>
Header* header_at(rte_mbuf* mbuf, uint16_t offset = 0) noexcept {
    return rte_pktmbuf_mtod_offset(mbuf, Header*, offset);
}

inline unsigned ip_version(rte_mbuf* mbuf) noexcept {
    return *header_at<uint8_t>(mbuf) >> 4;
}

inline uint8_t ipv6_traffic_class(const rte_ipv6_hdr& ip) noexcept {
    return static_cast<uint8_t>(rte_be_to_cpu_32(ip.vtc_flow) >> 20);
}

inline bool is_ipv4_fragment(const rte_ipv4_hdr& ip) noexcept {
    const uint16_t more_or_offset = RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK;
    return (ip.fragment_offset & rte_cpu_to_be_16(more_or_offset)) != 0;
}

// The packet's data, all in one segment, becomes `len` bytes from `offset` on.
inline void narrow(rte_mbuf* mbuf, uint16_t offset, uint16_t len) noexcept {
    mbuf->data_off = static_cast<uint16_t>(mbuf->data_off + offset);
    mbuf->data_len = len;
    mbuf->pkt_len = len;
}

// Makes room in front of the packet; false where there is none.
[[nodiscard]] inline bool prepend(rte_mbuf* mbuf, uint16_t len) noexcept {
    if (mbuf->data_off < len)
        return false;
    mbuf->data_off = static_cast<uint16_t>(mbuf->data_off - len);
    mbuf->data_len = static_cast<uint16_t>(mbuf->data_len + len);
    mbuf->pkt_len = mbuf->data_len;
    return true;
}

// Nearly all headers are of 20 bytes.
inline bool ipv4_checksum_right(const rte_ipv4_hdr* ip, uint16_t header_len) noexcept {
    if (header_len != kIpv4Len)
        return static_cast<uint16_t>(~rte_raw_cksum(ip, header_len)) == 0;
    std::array<uint64_t, 2> words;
    uint32_t last = 0;
    std::memcpy(words.data(), ip, sizeof words);
    std::memcpy(&last, reinterpret_cast<const uint8_t*>(ip) + sizeof words, sizeof last);
    uint64_t sum = words[0] + words[1];
    sum += sum < words[1] ? 1 : 0;  // end-around carry
    sum += last;
    sum += sum < last ? 1 : 0;
    return sum % kSumModulus == 0;
}

// Source and destination as they stand in the header.
inline std::span<const uint8_t> addresses_of(const rte_ipv4_hdr& ip) noexcept {
    return {reinterpret_cast<const uint8_t*>(&ip.src_addr), 2 * sizeof ip.src_addr};
}
inline std::span<const uint8_t> addresses_of(const rte_ipv6_hdr& ip) noexcept {
    return {ip.src_addr, 2 * sizeof ip.src_addr};
}

// RFC 1624: the one's complement checksum after a 16-bit word went from `before` to `after`.
inline uint16_t adjust_checksum(uint16_t checksum_be, uint16_t before_be,
                                uint16_t after_be) noexcept {
    uint32_t sum = static_cast<uint16_t>(~checksum_be);
    sum += static_cast<uint16_t>(~before_be);
    sum += after_be;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

}  // namespace meshgate
