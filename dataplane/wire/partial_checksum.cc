// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/partial_checksum.h"

namespace meshgate {

void finish_checksum(rte_mbuf* mbuf, uint16_t l4_offset, uint16_t field_offset) noexcept {
    uint8_t* field = header_at<uint8_t>(mbuf, field_offset);
    std::memset(field, 0, sizeof(uint16_t));
    const std::span<const uint8_t> l4{header_at<uint8_t>(mbuf, l4_offset),
                                      size_t{mbuf->data_len} - l4_offset};
    const auto* ip4 = header_at<rte_ipv4_hdr>(mbuf);
    const auto* ip6 = header_at<rte_ipv6_hdr>(mbuf);
    const uint16_t whole = ip_version(mbuf) == 4
                               ? l4_checksum(addresses_of(*ip4), ip4->next_proto_id, l4)
                               : l4_checksum(addresses_of(*ip6), ip6->proto, l4);
    std::memcpy(field, &whole, sizeof whole);
}

}  // namespace meshgate
