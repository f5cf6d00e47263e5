// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/api/snapshot.h"
#include "dataplane/packet/batch.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/header_scan.h"

// Most frames are what one expects: of our VLAN, to our MAC address, IPv4 without options, nothing
// wrong. Those of a whole burst are found sixteen at a time, before the stage looks at each; what
// is not found here is for the scalar checks, which would have come to the same.

namespace meshgate {

class PlainFrames {
public:
    // `judge` is one of header_scan.h. Nothing is plain in bursts of fewer than `min_burst`, or
    // where the port has more addresses than the rules have room for.
    using Judge = HeaderVerdict (*)(const HeaderGroup*, const HeaderRules*) noexcept;
    PlainFrames(uint16_t min_burst, const Snapshot& snapshot, const FrameFilter& filter,
                const Batch& batch, Judge judge) noexcept;

    // Of the packet at that place in the batch.
    bool is_plain(unsigned i) const noexcept { return (plain_ >> i & 1) != 0; }
    bool is_partial(unsigned i) const noexcept { return (partial_ >> i & 1) != 0; }
    // Where the IP header of plain frames stands.
    uint16_t l3_offset() const noexcept { return l3_offset_; }

private:
    bool fill_rules(HeaderRules& rules, const Snapshot& snapshot) const noexcept;
    void add(HeaderGroup& group, unsigned lane, rte_mbuf* mbuf) const noexcept;

    const FrameFilter& filter_;
    uint64_t plain_ = 0;
    uint64_t partial_ = 0;
    uint16_t l3_offset_ = kEtherLen;
};
static_assert(kBurst <= 64, "a bit for each");

}  // namespace meshgate
