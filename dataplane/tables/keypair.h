// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/tables/ids.h"
#include "dataplane/tables/replay_window.h"

namespace meshgate {

// One session, published in the receiver-index table (W27). Heap object, its keys wiped when freed.
struct alignas(64) Keypair {
    Keypair() noexcept = default;
    Keypair(const Keypair&) = delete;
    Keypair& operator=(const Keypair&) = delete;
    ~Keypair();  // wipes the keys

    // Control writes these before publishing; workers only read.
    std::array<uint8_t, 32> send_key{};
    std::array<uint8_t, 32> receive_key{};
    uint32_t local_index = 0;      // ours: what arrives carries it; host byte order
    uint32_t remote_index_le = 0;  // theirs: what we send carries it
    PeerId peer = kNoPeer;
    uint64_t reject_after_tsc = 0;  // from here on neither sends nor receives (W30)

    // Which keypair this is: no two in the life of the process have one number, as they may have
    // one address.
    const uint64_t serial = next_serial();

    // Any worker reserves a block of counters by fetch_add, relaxed: a gap in nonces is harmless, a
    // repeat is not, and an atomic addition can never hand out one value twice.
    alignas(64) std::atomic<uint64_t> send_counter{0};

    // Owner worker only, hence no lock. `confirmed` starts true where we are the initiator; the
    // owner sets it with the first packet that verifies and tells control by a note (W27).
    alignas(64) std::atomic<bool> confirmed{false};
    ReplayWindow replay;

private:
    static uint64_t next_serial() noexcept;  // from 1
};

}  // namespace meshgate
