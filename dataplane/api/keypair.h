// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/tables/ids.h"

namespace meshgate {

enum class Initiator : uint8_t { us, them };

// A session that is to enter the receiver-index table (W27). The keys are copied; the caller wipes
// its own.
struct NewKeypair {
    std::span<const uint8_t, 32> send_key;
    std::span<const uint8_t, 32> receive_key;
    uint32_t local_index;      // ours: what arrives carries it; host byte order
    uint32_t remote_index_le;  // theirs: what we send carries it
    PeerId peer;
    Initiator initiator;        // them: unconfirmed until their first packet verifies
    uint64_t reject_after_tsc;  // from here on it neither sends nor receives (W30)
};

// What a peer's packets are sealed with, as it stood when it was asked for.
struct SendingKeypair {
    uint32_t local_index;
    uint32_t remote_index_le;
    uint64_t reject_after_tsc;
    uint64_t send_counter;  // at most a block per worker ahead of what was sent
};

}  // namespace meshgate
