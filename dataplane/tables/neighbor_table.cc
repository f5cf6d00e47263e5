// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/neighbor_table.h"

#include <sodium.h>

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace meshgate {

namespace {

// So that nearly all are found where they are looked for first: how far to go on is what a branch
// predictor cannot know.
constexpr size_t kSlotsPerNeighbor = 4;

}  // namespace

NeighborTable::Key NeighborTable::key_of(PortId port, const IpAddress& address) noexcept {
    Key key{port, address.family};
    std::memcpy(&key.high, address.bytes.data(), sizeof key.high);
    std::memcpy(&key.low, address.bytes.data() + sizeof key.high, sizeof key.low);
    return key;
}

std::shared_ptr<const NeighborTable> NeighborTable::build(std::span<const Neighbor> neighbors) {
    auto table = std::make_shared<NeighborTable>();
    table->slots_.resize(std::bit_ceil(std::max<size_t>(kSlotsPerNeighbor * neighbors.size(), 2)));
    const size_t mask = table->slots_.size() - 1;
    MG_ASSERT(sodium_init() >= 0);
    randombytes_buf(table->seeds_.data(), sizeof(table->seeds_));
    for (const Neighbor& neighbor : neighbors) {
        if (neighbor.address.family == Family::none)  // how a free slot looks
            continue;
        const Key key = key_of(neighbor.port, neighbor.address);
        size_t slot = table->home_of(key);
        // Ends: the table is never full. Of two entries with one key the later wins.
        while (table->slots_[slot].key.has_family() && table->slots_[slot].key != key)
            slot = (slot + 1) & mask;
        table->slots_[slot] = {.key = key, .mac = neighbor.mac};
    }
    return table;
}

const MacAddress* NeighborTable::find(PortId port, const IpAddress& address) const noexcept {
    return find(key_of(port, address));
}

}  // namespace meshgate
