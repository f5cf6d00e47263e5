// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace meshgate {

// Messages a key may carry, counters 0 .. kRejectAfterMessages - 1 (W30).
constexpr uint64_t kRejectAfterMessages = UINT64_MAX - (1U << 13) + 1 - 64;

// Which counters of one keypair were seen (RFC 6479). One writer: the worker that owns the
// receiving side of the session. 8192 bits, of which 8128 behind the greatest are usable (W38).
class ReplayWindow {
public:
    // True exactly once per counter. Call only with counters whose tag verified.
    bool accept(uint64_t counter) noexcept;

private:
    static constexpr uint64_t kBlocks = 128;

    uint64_t head_ = 0;  // block of the greatest counter seen
    std::array<uint64_t, kBlocks> bits_{};
};

}  // namespace meshgate
