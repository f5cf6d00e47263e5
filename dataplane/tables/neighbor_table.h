// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "dataplane/tables/ids.h"

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
    // The same for addresses as they stand in a packet.
    const MacAddress* find_v4(PortId port, uint32_t address_be) const noexcept;
    const MacAddress* find_v6(PortId port, const uint8_t* address) const noexcept;

private:
    // An address as two words; an IPv4 address has the other twelve bytes zero. Port and family are
    // one word too: compared in halves just written, they would make the processor wait.
    struct Key {
        uint64_t high = 0, low = 0;
        uint32_t port_and_family = 0;

        Key() noexcept = default;
        Key(PortId port, Family family) noexcept
            : port_and_family{uint32_t{port} << 16 | static_cast<uint32_t>(family)} {}
        bool has_family() const noexcept { return static_cast<uint16_t>(port_and_family) != 0; }
        bool operator==(const Key& other) const noexcept {
            return ((high ^ other.high) | (low ^ other.low) |
                    (port_and_family ^ other.port_and_family)) == 0;
        }
    };
    static_assert(static_cast<uint32_t>(Family::none) == 0);
    struct Slot {
        Key key;  // without a family: free
        MacAddress mac;
    };
    static Key key_of(PortId port, const IpAddress& address) noexcept;
    size_t home_of(const Key& key) const noexcept;
    const MacAddress* find(const Key& key) const noexcept;

    // Secret: hosts choose their addresses, and must not be able to make them meet in one slot.
    std::array<uint64_t, 2> seeds_{};
    std::vector<Slot> slots_;  // open addressing, power of two, at most a quarter full
};

inline size_t NeighborTable::home_of(const Key& key) const noexcept {
    // -Wpedantic does not know the type.
    __extension__ using Product = unsigned __int128;
    const Product product =
        Product{key.high ^ seeds_[0]} * (key.low ^ seeds_[1] ^ key.port_and_family);
    return static_cast<size_t>(product ^ (product >> 64)) & (slots_.size() - 1);
}

inline const MacAddress* NeighborTable::find(const Key& key) const noexcept {
    // Otherwise it would match a free slot.
    if (slots_.empty() || !key.has_family())
        return nullptr;
    const size_t mask = slots_.size() - 1;
    size_t slot = home_of(key);
    while (slots_[slot].key.has_family()) {
        if (slots_[slot].key == key)
            return &slots_[slot].mac;
        slot = (slot + 1) & mask;
    }
    return nullptr;
}

inline const MacAddress* NeighborTable::find_v4(PortId port, uint32_t address_be) const noexcept {
    Key key{port, Family::ipv4};
    key.high = address_be;
    return find(key);
}

inline const MacAddress* NeighborTable::find_v6(PortId port,
                                                const uint8_t* address) const noexcept {
    Key key{port, Family::ipv6};
    std::memcpy(&key.high, address, sizeof key.high);
    std::memcpy(&key.low, address + sizeof key.high, sizeof key.low);
    return find(key);
}

}  // namespace meshgate
