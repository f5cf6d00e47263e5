// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace meshgate {

struct Keypair;
struct Link;

// Per peer, what changes without a new Snapshot: one store each. The control thread writes, through
// the facade; workers read.
struct alignas(64) PeerSlot {
    std::atomic<Keypair*> sending{nullptr};  // null: no session, packets wait in control
    std::atomic<const Link*> path{nullptr};  // null: no endpoint known
    // When a worker last told control that the endpoint moved, so that a burst makes one note and
    // not one per packet. Workers race benignly: at worst a note is sent twice.
    std::atomic<uint64_t> roaming_noted_tsc{0};
    // Of a mesh peer: its datagrams come by many links and relays, and none of that moves its path,
    // so control is not told (no endpoint_moved). Its links are learned from Babel.
    std::atomic<bool> path_is_fixed{false};
    // Largest inner packet that gets through where the path goes by relays: theirs are other links,
    // and they do not answer what is too big, so control tries sizes. 0: what the link takes.
    std::atomic<uint16_t> path_mtu_bytes{0};

    // Where the path is a link that takes packets of up to `link_mtu_bytes`.
    uint16_t mtu_of(uint16_t link_mtu_bytes) const noexcept {
        const uint16_t most = path_mtu_bytes.load(std::memory_order_relaxed);
        return most == 0 || most > link_mtu_bytes ? link_mtu_bytes : most;
    }
};

}  // namespace meshgate
