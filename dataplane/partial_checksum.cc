// SPDX-License-Identifier: Apache-2.0
#include "dataplane/partial_checksum.h"

namespace meshgate {

void finish_checksum(rte_mbuf* mbuf, uint16_t l4_offset, uint16_t field_offset) noexcept {
    uint8_t* field = header_at<uint8_t>(mbuf, field_offset);
    std::memset(field, 0, sizeof(uint16_t));
    const auto* l4 = header_at<uint8_t>(mbuf, l4_offset);
    const uint16_t whole = ip_version(mbuf) == 4
                               ? rte_ipv4_udptcp_cksum(header_at<rte_ipv4_hdr>(mbuf), l4)
                               : rte_ipv6_udptcp_cksum(header_at<rte_ipv6_hdr>(mbuf), l4);
    std::memcpy(field, &whole, sizeof whole);
}

}  // namespace meshgate
