// SPDX-License-Identifier: Apache-2.0
#include "dataplane/api/neighbor_table.h"

#include <sodium.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"

namespace meshgate {

namespace {

// -Wpedantic does not know the type.
__extension__ using Product = unsigned __int128;

}  // namespace

size_t NeighborTable::home_of(PortId port, const IpAddress& address) const noexcept {
    uint64_t high = 0;
    uint64_t low = 0;
    std::memcpy(&high, address.bytes.data(), sizeof(high));
    std::memcpy(&low, address.bytes.data() + sizeof(high), sizeof(low));
    const Product product = Product{high ^ seeds_[0]} * (low ^ seeds_[1] ^ port);
    return static_cast<size_t>(product ^ (product >> 64)) & (slots_.size() - 1);
}

std::shared_ptr<const NeighborTable> NeighborTable::build(std::span<const Neighbor> neighbors) {
    auto table = std::make_shared<NeighborTable>();
    table->slots_.resize(std::bit_ceil(std::max<size_t>(2 * neighbors.size(), 2)));
    const size_t mask = table->slots_.size() - 1;
    MG_ASSERT(sodium_init() >= 0);
    randombytes_buf(table->seeds_.data(), sizeof(table->seeds_));
    for (const Neighbor& neighbor : neighbors) {
        if (neighbor.address.family == Family::none)  // how a free slot looks
            continue;
        size_t slot = table->home_of(neighbor.port, neighbor.address);
        // Ends: the table is at most half full. Of two entries with one key the later wins.
        while (table->slots_[slot].address.family != Family::none &&
               (table->slots_[slot].port != neighbor.port ||
                table->slots_[slot].address != neighbor.address))
            slot = (slot + 1) & mask;
        table->slots_[slot] = neighbor;
    }
    return table;
}

const MacAddress* NeighborTable::find(PortId port, const IpAddress& address) const noexcept {
    // Otherwise it would match a free slot.
    if (slots_.empty() || address.family == Family::none)
        return nullptr;
    const size_t mask = slots_.size() - 1;
    size_t slot = home_of(port, address);
    while (slots_[slot].address.family != Family::none) {
        if (slots_[slot].port == port && slots_[slot].address == address)
            return &slots_[slot].mac;
        slot = (slot + 1) & mask;
    }
    return nullptr;
}

}  // namespace meshgate
