// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>

#include "base/address.h"
#include "control/wireguard/device.h"

namespace meshgate::wireguard {

constexpr uint64_t kInitiationsPerSecond = 20;  // under load, per IPv4 address or IPv6 /64 (W23)
constexpr uint64_t kInitiationsBurst = 5;       // at once (W23)
// Addresses whose rate is known; a full table refuses new ones.
constexpr size_t kMaxRateEntries = 65536;

// Token bucket per source: an IPv4 address or an IPv6 /64, since a /64 is what one host has (W23).
// Only senders with a valid cookie get here, so an entry means a real address.
class RateLimiter {
public:
    explicit RateLimiter(const FillRandom& fill_random);

    bool allow(const IpAddress& source, uint64_t now_ns);
    // Frees entries that were idle for a second; due at next_collection_ns().
    void collect(uint64_t now_ns);
    uint64_t next_collection_ns() const noexcept;
    size_t nb_entries() const noexcept { return entries_.size(); }

private:
    struct Bucket {
        uint64_t tokens_ns;  // one message costs a second / kInitiationsPerSecond
        uint64_t updated_ns;
    };
    struct Hasher {
        std::array<uint8_t, 16> key;  // random: nobody chooses our collisions
        size_t operator()(const IpAddress& address) const noexcept;
    };

    std::unordered_map<IpAddress, Bucket, Hasher> entries_;
    uint64_t last_collection_ns_ = 0;
};

}  // namespace meshgate::wireguard
