// SPDX-License-Identifier: Apache-2.0
#include "dataplane/route_lookup.h"

#include "dataplane/wire.h"

namespace meshgate {

void look_up(ForwardIndices& forwards, const Fib& fib, const Batch& batch,
             AddressField field) noexcept {
    std::array<uint32_t, Batch::kCapacity> addresses_v4;
    std::array<const uint8_t*, Batch::kCapacity> addresses_v6;
    std::array<uint16_t, Batch::kCapacity> positions_v4, positions_v6;
    uint16_t nb_v4 = 0, nb_v6 = 0;
    const bool source = field == AddressField::source;
    for (uint16_t i = 0; i < batch.size(); ++i) {
        if (ip_version(batch[i]) == 4) {
            const auto* ip = header_at<rte_ipv4_hdr>(batch[i]);
            addresses_v4[nb_v4] = source ? ip->src_addr : ip->dst_addr;
            positions_v4[nb_v4++] = i;
            continue;
        }
        const auto* ip = header_at<rte_ipv6_hdr>(batch[i]);
        addresses_v6[nb_v6] = source ? ip->src_addr : ip->dst_addr;
        positions_v6[nb_v6++] = i;
    }
    std::array<uint32_t, Batch::kCapacity> values;
    fib.lookup_v4(std::span{values.data(), nb_v4},
                  std::span<const uint32_t>{addresses_v4.data(), nb_v4});
    for (uint16_t i = 0; i < nb_v4; ++i)
        forwards[positions_v4[i]] = values[i];
    fib.lookup_v6(std::span{values.data(), nb_v6},
                  std::span<const uint8_t* const>{addresses_v6.data(), nb_v6});
    for (uint16_t i = 0; i < nb_v6; ++i)
        forwards[positions_v6[i]] = values[i];
}

}  // namespace meshgate
