// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "dataplane/path/packet_meta.h"
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

// UDP over IPv4 goes without a checksum: the AEAD's tag says more (RFC 768 allows it).
inline void fill_outer_ipv4(uint8_t* l3, uint16_t message_len, uint8_t tos) noexcept {
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(l3);
    ip->type_of_service = tos;
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(kIpv4Len + kUdpLen + message_len));
    // RFC 1624 with both old values 0. Cannot come to 0xffff, which is another 0: TTL is not 0.
    uint32_t sum = static_cast<uint16_t>(~ip->hdr_checksum);
    sum += uint32_t{ip->total_length} + rte_cpu_to_be_16(tos);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip->hdr_checksum = static_cast<uint16_t>(~sum);
    auto* udp = reinterpret_cast<rte_udp_hdr*>(l3 + kIpv4Len);
    udp->dgram_len = rte_cpu_to_be_16(static_cast<uint16_t>(kUdpLen + message_len));
}

// All but the UDP checksum, which is mandatory here (W44).
inline void fill_outer_ipv6(uint8_t* l3, uint16_t message_len, uint8_t tos) noexcept {
    auto* ip = reinterpret_cast<rte_ipv6_hdr*>(l3);
    auto* udp = reinterpret_cast<rte_udp_hdr*>(l3 + kIpv6Len);
    const uint16_t udp_len_be = rte_cpu_to_be_16(static_cast<uint16_t>(kUdpLen + message_len));
    ip->vtc_flow = rte_cpu_to_be_32((uint32_t{6} << 28) | (uint32_t{tos} << 20));
    ip->payload_len = udp_len_be;
    udp->dgram_len = udp_len_be;
}

// Over the whole datagram, or left to the port that says it can.
inline void sum_outer_udp(rte_mbuf* mbuf, uint8_t* l3, uint8_t ip_offset, bool offload) noexcept {
    auto* ip = reinterpret_cast<rte_ipv6_hdr*>(l3);
    auto* udp = reinterpret_cast<rte_udp_hdr*>(l3 + kIpv6Len);
    udp->dgram_cksum = 0;
    if (!offload) {
        const uint16_t udp_len = rte_be_to_cpu_16(udp->dgram_len);
        udp->dgram_cksum = l4_checksum(addresses_of(*ip), kProtoUdp,
                                       {reinterpret_cast<const uint8_t*>(udp), udp_len});
        return;
    }
    udp->dgram_cksum = rte_ipv6_phdr_cksum(ip, RTE_MBUF_F_TX_UDP_CKSUM);
    mbuf->ol_flags = RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM;
    mbuf->l2_len = ip_offset & 0x7fU;
    mbuf->l3_len = kIpv6Len;
}

}  // namespace meshgate
