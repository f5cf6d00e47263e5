// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "base/address.h"
#include "dataplane/worker/tsc_rate.h"

namespace meshgate {

// Which handshake messages go up to control when more come than it answers. A certain rate passes
// unseen; beyond it every source address (IPv6: /64) has a small rate of its own, so that a flood
// from some addresses does not shut out the others. Messages with a mac2, which tells of a cookie,
// and those without do not take each other's share. Worker thread only, one per worker.
class HandshakeGate {
public:
    enum class Mac2 : uint8_t { absent, present };

    // `seed` decides which addresses share their rate; nobody outside may know it.
    HandshakeGate(uint64_t tsc_hz, uint64_t seed) noexcept;

    bool admit(const IpAddress& source, Mac2 mac2, uint64_t now_tsc) noexcept;

private:
    static constexpr size_t kNbSlots = 1024;

    size_t slot_of(const IpAddress& source) const noexcept;

    TscRate common_;
    uint64_t source_gap_tsc_;
    uint64_t seed_;
    std::array<uint64_t, 2> paid_until_tsc_{};  // of the common rate, by Mac2
    std::array<uint64_t, kNbSlots> next_of_source_tsc_{};
};

}  // namespace meshgate
