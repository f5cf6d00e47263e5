// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "dataplane/tables/ids.h"

namespace meshgate {

// Which counters of one keypair were seen (RFC 6479). One writer: the worker that owns the
// receiving side of the session. 8192 bits, of which 8128 behind the greatest are usable (W38).
class ReplayWindow {
public:
    // True exactly once per counter. Call only with counters whose tag verified.
    bool accept(uint64_t counter) noexcept;

    // What accept(counter) will read and write.
    void prefetch(uint64_t counter) const noexcept {
        __builtin_prefetch(&next_, 1);
        __builtin_prefetch(&bits_[counter / kBlockBits % kBlocks], 1);
    }

private:
    static constexpr uint64_t kBlocks = 128;
    static constexpr uint64_t kBlockBits = 64;
    static constexpr uint64_t kUsable = (kBlocks - 1) * kBlockBits;

    uint64_t next_ = 0;  // one more than the greatest counter seen; 0: none yet
    std::array<uint64_t, kBlocks> bits_{};
};

// RFC 6479: whole blocks of 64 are recycled as the window moves, so nothing is ever shifted. The
// greatest counter and the kUsable behind it touch at most kBlocks blocks, wherever they begin.
inline bool ReplayWindow::accept(uint64_t counter) noexcept {
    if (counter >= kRejectAfterMessages || counter + kUsable + 1 < next_)
        return false;
    const uint64_t block = counter / kBlockBits;
    if (counter >= next_) {
        const uint64_t head = next_ == 0 ? 0 : (next_ - 1) / kBlockBits;
        for (uint64_t n = std::min(block - head, kBlocks); n > 0; --n)
            bits_[(block - n + 1) % kBlocks] = 0;
        next_ = counter + 1;
    }
    const uint64_t mask = uint64_t{1} << (counter % kBlockBits);
    uint64_t& seen = bits_[block % kBlocks];
    const bool fresh = (seen & mask) == 0;
    seen |= mask;
    return fresh;
}

}  // namespace meshgate
