// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "control/wireguard/device.h"
#include "control/wireguard/messages.h"

namespace meshgate::wireguard {

// The receiver indices that are ours: random, and unique over handshakes and keypairs (W10). The
// low kWorkerBits name the worker that owns the session's receiving side.
class ReceiverIndices {
public:
    ReceiverIndices(const FillRandom& fill_random, unsigned nb_workers)
        : fill_random_{fill_random}, nb_workers_{nb_workers} {}

    uint32_t allocate(PeerId peer);
    void release(uint32_t index) { owners_.erase(index); }
    std::optional<PeerId> owner(uint32_t index) const;
    size_t size() const noexcept { return owners_.size(); }

private:
    const FillRandom& fill_random_;
    unsigned nb_workers_;
    std::unordered_map<uint32_t, PeerId> owners_;
};

}  // namespace meshgate::wireguard
