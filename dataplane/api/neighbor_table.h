// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "dataplane/api/path.h"

namespace meshgate {

// Resolved next hops of the LAN side: (port, address) -> MAC address. Built once, then only read.
class NeighborTable {
public:
    struct Neighbor {
        PortId port;
        IpAddress address;
        MacAddress mac;
    };

    static std::shared_ptr<const NeighborTable> build(std::span<const Neighbor> neighbors);

    // Null when not resolved. Valid as long as the table.
    const MacAddress* find(PortId port, const IpAddress& address) const noexcept;

private:
    size_t home_of(PortId port, const IpAddress& address) const noexcept;

    // Secret: hosts choose their addresses, and must not be able to make them meet in one slot.
    std::array<uint64_t, 2> seeds_{};
    std::vector<Neighbor> slots_;  // open addressing, power of two, at most half full
};

}  // namespace meshgate
