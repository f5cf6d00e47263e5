// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace meshgate {

// Messages a key may carry, counters 0 .. kRejectAfterMessages - 1: 2^64 - 2^13 - 1 (W30; WireGuard
// paper, section 6.1).
constexpr uint64_t kRejectAfterMessages = UINT64_MAX - (1U << 13);

// Which counters of one keypair were seen (RFC 6479). One writer: the worker that owns the
// receiving side of the session. 8192 bits, of which 8128 behind the greatest are usable (W38).
class ReplayWindow {
public:
    // True exactly once per counter. Call only with counters whose tag verified.
    bool accept(uint64_t counter) noexcept;

private:
    static constexpr uint64_t kBlocks = 128;
    static constexpr uint64_t kBlockBits = 64;
    static constexpr uint64_t kUsable = (kBlocks - 1) * kBlockBits;

    uint64_t next_ = 0;  // one more than the greatest counter seen; 0: none yet
    std::array<uint64_t, kBlocks> bits_{};
};

}  // namespace meshgate
