// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/address.h"

namespace meshgate::control::world {

using Bytes = std::vector<uint8_t>;

// A UDP datagram of the simulated underlay: a handshake message as it is, or transport data that
// was not encrypted. In place of a tag it carries the key that it would have been sealed with.
struct Datagram {
    Endpoint source;  // as the present piece of its way sees them
    Endpoint destination;
    uint8_t hop_limit = 64;
    bool transport = false;
    Bytes bytes;  // the handshake message, or the inner packet; empty: a keepalive
    uint32_t receiver_index = 0;
    uint64_t counter = 0;
    std::array<uint8_t, 32> key{};
    std::vector<unsigned> relayed_by;  // boxes

    // On the underlay: IPv4, UDP, and what WireGuard adds.
    size_t wire_len() const {
        return 28 + (transport ? 32 + (bytes.size() + 15) / 16 * 16 : bytes.size());
    }
};

}  // namespace meshgate::control::world
