// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace meshgate {

// What control and workers name things by across the boundary: slots of the dataplane's tables.

using PeerId = uint32_t;  // stable for the life of the peer
constexpr PeerId kNoPeer = UINT32_MAX;

using PortId = uint16_t;  // position in DataplaneOptions::ports
constexpr PortId kNoPort = UINT16_MAX;
constexpr unsigned kMaxPorts = 16;                    // of a box
enum class PortRole : uint8_t { wan, lan, one_arm };  // one arm: both on one network

using LinkId = uint32_t;
constexpr LinkId kNoLink = UINT32_MAX;
constexpr LinkId kMaxLinks = 65536;  // of a box, over all members

constexpr unsigned kMaxWorkers = 32;  // of a box

// The low bits of a receiver index of ours name the worker that owns the session's receiving side.
constexpr uint32_t kWorkerBits = 5;
static_assert(kMaxWorkers == 1U << kWorkerBits);
constexpr uint32_t worker_of(uint32_t receiver_index) noexcept {
    return receiver_index & ((1U << kWorkerBits) - 1);
}

// Messages a key may carry, counters 0 .. kRejectAfterMessages - 1: 2^64 - 2^13 - 1 (W30; WireGuard
// paper, section 6.1).
constexpr uint64_t kRejectAfterMessages = UINT64_MAX - (1U << 13);

}  // namespace meshgate
