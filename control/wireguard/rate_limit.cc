// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/rate_limit.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>

namespace meshgate::wireguard {

namespace {

constexpr uint64_t kCostNs = kNsPerSecond / kInitiationsPerSecond;  // of one initiation
constexpr uint64_t kMaxTokensNs = kCostNs * kInitiationsBurst;      // a full bucket
// An address that is silent for so long is forgotten: its bucket is full.
constexpr uint64_t kIdleNs = kNsPerSecond;

std::array<uint8_t, 16> random_key(const FillRandom& fill_random) {
    std::array<uint8_t, 16> key{};
    fill_random(key);
    return key;
}

IpAddress source_group(IpAddress source) noexcept {
    if (source.is_v6())
        std::fill(source.bytes.begin() + 8, source.bytes.end(), uint8_t{0});
    return source;
}

}  // namespace

size_t RateLimiter::Hasher::operator()(const IpAddress& address) const noexcept {
    uint64_t result = 0;
    crypto_shorthash(reinterpret_cast<uint8_t*>(&result), address.bytes.data(),
                     address.bytes.size(), key.data());
    return result;
}

RateLimiter::RateLimiter(const FillRandom& fill_random)
    : entries_{0, Hasher{random_key(fill_random)}} {}

bool RateLimiter::allow(const IpAddress& source, uint64_t now_ns) {
    const IpAddress group = source_group(source);
    const auto found = entries_.find(group);
    if (found == entries_.end()) {
        if (entries_.size() >= kMaxRateEntries)
            return false;
        if (entries_.empty())
            last_collection_ns_ = now_ns;
        entries_.emplace(group, Bucket{kMaxTokensNs - kCostNs, now_ns});
        return true;
    }
    Bucket& bucket = found->second;
    bucket.tokens_ns = std::min(kMaxTokensNs, bucket.tokens_ns + (now_ns - bucket.updated_ns));
    bucket.updated_ns = now_ns;
    if (bucket.tokens_ns < kCostNs)
        return false;
    bucket.tokens_ns -= kCostNs;
    return true;
}

void RateLimiter::collect(uint64_t now_ns) {
    std::erase_if(entries_, [now_ns](const auto& entry) {
        return now_ns - entry.second.updated_ns > kIdleNs;
    });
    last_collection_ns_ = now_ns;
}

uint64_t RateLimiter::next_collection_ns() const noexcept {
    return entries_.empty() ? kNeverNs : last_collection_ns_ + kNsPerSecond;
}

}  // namespace meshgate::wireguard
