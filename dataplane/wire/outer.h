// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "dataplane/packet/packet_meta.h"
#include "dataplane/wire/wire.h"

// The outer headers of a datagram: read as they arrived, written as they leave.

namespace meshgate {

// The outer IP header as it arrived; it stays in front of the message until something is put there.
inline uint8_t* outer_l3(rte_mbuf* mbuf) noexcept {
    return static_cast<uint8_t*>(mbuf->buf_addr) + meta_of(mbuf).outer_l3_offset;
}

struct OuterEndpoints {
    Endpoint remote;
    Endpoint local;
};

// From the real header in front of the message, whose length IHL and tags may vary (W06).
inline OuterEndpoints outer_endpoints(rte_mbuf* mbuf) noexcept {
    const uint8_t* l3 = outer_l3(mbuf);
    OuterEndpoints result;
    uint16_t l4_offset = kIpv6Len;
    if ((*l3 >> 4) == 4) {
        const auto* ip = reinterpret_cast<const rte_ipv4_hdr*>(l3);
        l4_offset = rte_ipv4_hdr_len(ip);
        result.remote.address = IpAddress::v4(ip->src_addr);
        result.local.address = IpAddress::v4(ip->dst_addr);
    } else {
        const auto* ip = reinterpret_cast<const rte_ipv6_hdr*>(l3);
        result.remote.address = IpAddress::v6(ip->src_addr);
        result.local.address = IpAddress::v6(ip->dst_addr);
    }
    const auto* udp = reinterpret_cast<const rte_udp_hdr*>(l3 + l4_offset);
    result.remote.port = rte_be_to_cpu_16(udp->src_port);
    result.local.port = rte_be_to_cpu_16(udp->dst_port);
    return result;
}

// 42 to 66 bytes, in steps that need no loop: the first 32, the last 32, and what is between.
inline void copy_header(uint8_t* frame, const Link& link) noexcept {
    constexpr size_t kStep = 32;
    const uint8_t* header = link.header.data();
    const size_t tail = link.header_len - kStep;
    std::memcpy(frame, header, kStep);
    if (tail > kStep)
        std::memcpy(frame + kStep, header + kStep, sizeof(uint64_t));
    std::memcpy(frame + tail, header + tail, kStep);
}

// Of a message in front of which the headers stand, at `l4`: no two datagrams between two addresses
// have the same one at a time (RFC 6864, section 4.3). Counters of sessions that began together go
// on together, so each counts from where its receiver index says. Handshakes have random bytes in
// both places.
inline uint16_t identification_of(const uint8_t* udp) noexcept {
    uint16_t index = 0;
    uint16_t counter = 0;
    std::memcpy(&index, udp + kUdpLen + offsetof(TransportHeader, receiver_index_le), sizeof index);
    std::memcpy(&counter, udp + kUdpLen + offsetof(TransportHeader, counter_le), sizeof counter);
    return static_cast<uint16_t>(index + counter);
}

// All but the UDP checksum.
inline void fill_outer_ipv4(uint8_t* l3, uint16_t message_len, uint8_t tos) noexcept {
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(l3);
    ip->type_of_service = tos;
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(kIpv4Len + kUdpLen + message_len));
    ip->packet_id = identification_of(l3 + kIpv4Len);
    // RFC 1624 with all old values 0. Cannot come to 0xffff, which is another 0: TTL is not 0.
    uint32_t sum = static_cast<uint16_t>(~ip->hdr_checksum);
    sum += uint32_t{ip->total_length} + rte_cpu_to_be_16(tos) + ip->packet_id;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip->hdr_checksum = static_cast<uint16_t>(~sum);
    auto* udp = reinterpret_cast<rte_udp_hdr*>(l3 + kIpv4Len);
    udp->dgram_len = rte_cpu_to_be_16(static_cast<uint16_t>(kUdpLen + message_len));
}

inline void fill_outer_ipv6(uint8_t* l3, uint16_t message_len, uint8_t tos) noexcept {
    auto* ip = reinterpret_cast<rte_ipv6_hdr*>(l3);
    auto* udp = reinterpret_cast<rte_udp_hdr*>(l3 + kIpv6Len);
    const uint16_t udp_len_be = rte_cpu_to_be_16(static_cast<uint16_t>(kUdpLen + message_len));
    ip->vtc_flow = rte_cpu_to_be_32((uint32_t{6} << 28) | (uint32_t{tos} << 20));
    ip->payload_len = udp_len_be;
    udp->dgram_len = udp_len_be;
}

// A message larger than the path takes in one piece.
inline bool is_too_long(uint16_t mtu_bytes, uint32_t message_len) noexcept {
    return message_len > mtu_bytes + uint32_t{kMinTransportLen};
}

// What a link's prepared header holds of the checksum becomes that of the datagram, or is left to
// the port that says it can; where the link makes none, 0 stays.
inline void sum_outer_udp(rte_mbuf* mbuf, uint8_t* l3, const Link& link, bool offload) noexcept {
    const uint8_t l3_len = link.outer_ipv6 ? kIpv6Len : kIpv4Len;
    auto* udp = reinterpret_cast<rte_udp_hdr*>(l3 + l3_len);
    if (udp->dgram_cksum == 0)
        return;
    if (!offload) {
        // The length counts twice: in the pseudo-header and in UDP's own.
        const size_t message_len = rte_be_to_cpu_16(udp->dgram_len) - size_t{kUdpLen};
        const uint64_t sum = udp->dgram_cksum + 2 * uint64_t{udp->dgram_len} +
                             internet_sum({reinterpret_cast<const uint8_t*>(udp + 1), message_len});
        // A remainder of 0 gives 0xffff: 0 would say that there is no checksum (RFC 768).
        udp->dgram_cksum = static_cast<uint16_t>(~(sum % kSumModulus));
        return;
    }
    const uint64_t version = link.outer_ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
    mbuf->ol_flags = version | RTE_MBUF_F_TX_UDP_CKSUM;
    udp->dgram_cksum =
        link.outer_ipv6 ? rte_ipv6_phdr_cksum(reinterpret_cast<rte_ipv6_hdr*>(l3), mbuf->ol_flags)
                        : rte_ipv4_phdr_cksum(reinterpret_cast<rte_ipv4_hdr*>(l3), mbuf->ol_flags);
    mbuf->l2_len = link.ip_offset & 0x7fU;
    mbuf->l3_len = l3_len & 0x1ffU;
}

}  // namespace meshgate
