// SPDX-License-Identifier: Apache-2.0
#include "dataplane/partial_checksum.h"

#include "dataplane/wire.h"

namespace meshgate {

namespace {

template <typename IpHeader, typename PseudoSum, typename FullSum>
void finish_checksum(rte_mbuf* mbuf, IpHeader* ip, uint16_t l4_offset, uint8_t proto,
                     PseudoSum pseudo_sum, FullSum full_sum) noexcept {
    const uint16_t field =
        proto == kProtoTcp ? offsetof(rte_tcp_hdr, cksum) : offsetof(rte_udp_hdr, dgram_cksum);
    if (mbuf->data_len < l4_offset + field + sizeof(uint16_t))
        return;
    uint8_t* position = header_at<uint8_t>(mbuf, static_cast<uint16_t>(l4_offset + field));
    uint16_t found = 0;
    std::memcpy(&found, position, sizeof found);
    if (found != pseudo_sum(ip))
        return;
    std::memset(position, 0, sizeof found);
    const uint16_t whole = full_sum(ip, header_at<uint8_t>(mbuf, l4_offset));
    std::memcpy(position, &whole, sizeof whole);
}

void finish_checksum_v4(rte_mbuf* mbuf) noexcept {
    auto* ip = header_at<rte_ipv4_hdr>(mbuf);
    const uint8_t proto = ip->next_proto_id;
    if ((proto != kProtoTcp && proto != kProtoUdp) || is_ipv4_fragment(*ip))
        return;
    finish_checksum(
        mbuf, ip, rte_ipv4_hdr_len(ip), proto,
        [](const rte_ipv4_hdr* header) { return rte_ipv4_phdr_cksum(header, 0); },
        [](const rte_ipv4_hdr* header, const void* l4) {
            return rte_ipv4_udptcp_cksum(header, l4);
        });
}

void finish_checksum_v6(rte_mbuf* mbuf) noexcept {
    auto* ip = header_at<rte_ipv6_hdr>(mbuf);
    const uint8_t proto = ip->proto;
    if (proto != kProtoTcp && proto != kProtoUdp)
        return;
    finish_checksum(
        mbuf, ip, kIpv6Len, proto,
        [](const rte_ipv6_hdr* header) { return rte_ipv6_phdr_cksum(header, 0); },
        [](const rte_ipv6_hdr* header, const void* l4) {
            return rte_ipv6_udptcp_cksum(header, l4);
        });
}

}  // namespace

void finish_partial_checksum(rte_mbuf* mbuf) noexcept {
    if (ip_version(mbuf) == 4)
        finish_checksum_v4(mbuf);
    else
        finish_checksum_v6(mbuf);
}

}  // namespace meshgate
