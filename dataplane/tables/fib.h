// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"

namespace meshgate {

// Longest-prefix match for IPv4 and IPv6. Built once from all routes, then only read: any number of
// threads may look up at once. Value 0 means "no route".
class Fib {
public:
    struct Route {
        Prefix prefix;       // host bits are ignored
        uint32_t value = 0;  // 1 .. kMaxValue, meaning given by the caller
    };
    static constexpr uint32_t kMaxValue = (1U << 24) - 1;  // forwarding entries of one FIB

    // How lookup_v4 works: with vectors where the processor has them, or without everywhere.
    enum class BulkLookup : uint8_t { fastest, scalar };

    // Of two routes with one prefix the later wins. Never fails for lack of anything but memory.
    static std::shared_ptr<const Fib> build(std::span<const Route> routes,
                                            BulkLookup how = BulkLookup::fastest);

    uint32_t lookup(const IpAddress& destination) const noexcept;
    // `destinations_be`: IPv4 addresses as on the wire. Sizes equal; interleaves the cache misses.
    void lookup_v4(std::span<uint32_t> values,
                   std::span<const uint32_t> destinations_be) const noexcept;
    // Pointers to 16 address bytes each.
    void lookup_v6(std::span<uint32_t> values,
                   std::span<const uint8_t* const> destinations) const noexcept;

    size_t nb_routes() const noexcept;
    size_t memory_bytes() const noexcept;

    Fib(const Fib&) = delete;
    Fib& operator=(const Fib&) = delete;
    ~Fib();

private:
    struct Tables;
    explicit Fib(std::unique_ptr<const Tables> tables) noexcept;

    std::unique_ptr<const Tables> tables_;
};

}  // namespace meshgate
