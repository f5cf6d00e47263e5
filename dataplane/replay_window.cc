// SPDX-License-Identifier: Apache-2.0
#include "dataplane/api/replay_window.h"

#include <algorithm>

namespace meshgate {

// RFC 6479: whole blocks of 64 are recycled as the window moves, so nothing is ever shifted. The
// greatest counter and the kUsable behind it touch at most kBlocks blocks, wherever they begin.
bool ReplayWindow::accept(uint64_t counter) noexcept {
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
