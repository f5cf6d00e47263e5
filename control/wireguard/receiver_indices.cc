// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/receiver_indices.h"

#include "base/assert.h"

namespace meshgate::wireguard {

uint32_t ReceiverIndices::allocate(PeerId peer) {
    // Far from full, so that a free one is found in a draw or two.
    MG_ASSERT(owners_.size() < (1U << 24));
    for (;;) {
        Le32 bytes{};
        fill_random_(bytes);
        const uint32_t random = from_le32(bytes) & ~((1U << kWorkerBits) - 1);
        const uint32_t index = random | peer % nb_workers_;
        if (owners_.try_emplace(index, peer).second)
            return index;
    }
}

std::optional<PeerId> ReceiverIndices::owner(uint32_t index) const {
    const auto found = owners_.find(index);
    if (found == owners_.end())
        return std::nullopt;
    return found->second;
}

}  // namespace meshgate::wireguard
