// SPDX-License-Identifier: Apache-2.0
#include "dataplane/path/route_lookup.h"

#include "dataplane/path/scope.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

// Addresses of one family with their places in the batch.
template <typename Address>
struct Gathered {
    std::array<Address, Batch::kCapacity> addresses;
    std::array<uint16_t, Batch::kCapacity> positions;
    uint16_t size = 0;

    void add(Address address, uint16_t position) noexcept {
        addresses[size] = address;
        positions[size++] = position;
    }
    std::span<const Address> all() const noexcept { return {addresses.data(), size}; }
};

}  // namespace

LookedUp look_up(ForwardIndices& forwards, const Fib& fib, const Batch& batch,
                 AddressField field) noexcept {
    Gathered<uint32_t> v4;
    Gathered<const uint8_t*> v6;
    const bool source = field == AddressField::source;
    unsigned special = 0;
    for (uint16_t i = 0; i < batch.size(); ++i) {
        if (ip_version(batch[i]) == 4) {
            const auto* ip = header_at<rte_ipv4_hdr>(batch[i]);
            const uint32_t address_be = source ? ip->src_addr : ip->dst_addr;
            special |= kFirstOctets[address_be & 0xff] & kMaybeSpecialV4;
            v4.add(address_be, i);
            continue;
        }
        const auto* ip = header_at<rte_ipv6_hdr>(batch[i]);
        const uint8_t* address = source ? ip->src_addr : ip->dst_addr;
        special |= kFirstOctets[*address] & kMaybeSpecialV6;
        v6.add(address, i);
    }
    const LookedUp result{.nb_v6 = v6.size, .maybe_special = special != 0};
    if (v6.size == 0) {
        fib.lookup_v4({forwards.data(), v4.size}, v4.all());
        return result;
    }
    if (v4.size == 0) {
        fib.lookup_v6({forwards.data(), v6.size}, v6.all());
        return result;
    }
    ForwardIndices values;
    fib.lookup_v4({values.data(), v4.size}, v4.all());
    for (uint16_t i = 0; i < v4.size; ++i)
        forwards[v4.positions[i]] = values[i];
    fib.lookup_v6({values.data(), v6.size}, v6.all());
    for (uint16_t i = 0; i < v6.size; ++i)
        forwards[v6.positions[i]] = values[i];
    return result;
}

}  // namespace meshgate
