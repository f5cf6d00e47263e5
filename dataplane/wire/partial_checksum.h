// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/wire/wire.h"

// Virtual ports deliver TCP and UDP whose checksum field holds the pseudo-header's sum only,
// because the sender's "NIC" was to finish it. Nobody else will: we do, where the field says so.
// Looking at the field is for every packet, hence inline; finishing it is not.

namespace meshgate {

// Data at the IP header; the checksum field is `field_offset` bytes behind it.
void finish_checksum(rte_mbuf* mbuf, uint16_t l4_offset, uint16_t field_offset) noexcept;

inline void finish_if_partial(rte_mbuf* mbuf, uint16_t l4_offset, uint8_t proto,
                              uint64_t sum_of_addresses, uint32_t l4_len) noexcept {
    if (proto != kProtoTcp && proto != kProtoUdp)
        return;
    const size_t field =
        proto == kProtoTcp ? offsetof(rte_tcp_hdr, cksum) : offsetof(rte_udp_hdr, dgram_cksum);
    const auto field_offset = static_cast<uint16_t>(l4_offset + field);
    if (mbuf->data_len < field_offset + sizeof(uint16_t))
        return;
    uint16_t found = 0;
    std::memcpy(&found, header_at<uint8_t>(mbuf, field_offset), sizeof found);
    const uint64_t pseudo_sum =
        sum_of_addresses + rte_cpu_to_be_32(l4_len) + rte_cpu_to_be_32(proto);
    // Equal but for multiples of 0xffff; a field of 0 says that there is no checksum.
    if (found != 0 && (pseudo_sum + kSumModulus - found) % kSumModulus == 0)
        finish_checksum(mbuf, l4_offset, field_offset);
}

// Data at the IP header, which is sound.
inline void finish_partial_checksum(rte_mbuf* mbuf) noexcept {
    uint64_t sum = 0;
    if (ip_version(mbuf) == 4) {
        const auto* ip = header_at<rte_ipv4_hdr>(mbuf);
        const uint16_t header_len = rte_ipv4_hdr_len(ip);
        sum = uint64_t{ip->src_addr} + ip->dst_addr;
        if (!is_ipv4_fragment(*ip))
            finish_if_partial(mbuf, header_len, ip->next_proto_id, sum,
                              uint32_t{rte_be_to_cpu_16(ip->total_length)} - header_len);
        return;
    }
    const auto* ip = header_at<rte_ipv6_hdr>(mbuf);
    std::array<uint32_t, 8> words;
    static_assert(sizeof words == sizeof ip->src_addr + sizeof ip->dst_addr);
    std::memcpy(words.data(), ip->src_addr, sizeof words);
    for (const uint32_t word : words)
        sum += word;
    finish_if_partial(mbuf, kIpv6Len, ip->proto, sum, rte_be_to_cpu_16(ip->payload_len));
}

}  // namespace meshgate
