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

size_t NeighborTable::home_of(const Key& key) const noexcept {
    const Product product = Product{key.high ^ seeds_[0]} * (key.low ^ seeds_[1] ^ key.port);
    return static_cast<size_t>(product ^ (product >> 64)) & (slots_.size() - 1);
}

NeighborTable::Key NeighborTable::key_of(PortId port, const IpAddress& address) noexcept {
    Key key{.port = port, .family = address.family};
    std::memcpy(&key.high, address.bytes.data(), sizeof key.high);
    std::memcpy(&key.low, address.bytes.data() + sizeof key.high, sizeof key.low);
    return key;
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
        const Key key = key_of(neighbor.port, neighbor.address);
        size_t slot = table->home_of(key);
        // Ends: the table is at most half full. Of two entries with one key the later wins.
        while (table->slots_[slot].key.family != Family::none && table->slots_[slot].key != key)
            slot = (slot + 1) & mask;
        table->slots_[slot] = {.key = key, .mac = neighbor.mac};
    }
    return table;
}

const MacAddress* NeighborTable::find(const Key& key) const noexcept {
    // Otherwise it would match a free slot.
    if (slots_.empty() || key.family == Family::none)
        return nullptr;
    const size_t mask = slots_.size() - 1;
    size_t slot = home_of(key);
    while (slots_[slot].key.family != Family::none) {
        if (slots_[slot].key == key)
            return &slots_[slot].mac;
        slot = (slot + 1) & mask;
    }
    return nullptr;
}

const MacAddress* NeighborTable::find(PortId port, const IpAddress& address) const noexcept {
    return find(key_of(port, address));
}

const MacAddress* NeighborTable::find_v4(PortId port, uint32_t address_be) const noexcept {
    return find({.high = address_be, .port = port, .family = Family::ipv4});
}

const MacAddress* NeighborTable::find_v6(PortId port, const uint8_t* address) const noexcept {
    Key key{.port = port, .family = Family::ipv6};
    std::memcpy(&key.high, address, sizeof key.high);
    std::memcpy(&key.low, address + sizeof key.high, sizeof key.low);
    return find(key);
}

}  // namespace meshgate
