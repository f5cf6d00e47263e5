// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/path_mtu.h"

#include <algorithm>

namespace meshgate::control {

namespace {

// RFC 8201, section 4: a smaller path MTU is forgotten after about this long.
constexpr auto kLifetime = std::chrono::minutes{10};
constexpr auto kUnprovedLifetime = std::chrono::minutes{1};  // when anybody could have said it

}  // namespace

void PathMtus::learn(const Path& path, uint16_t mtu_bytes, Proof proof, Time now) {
    const auto [found, is_new] = learned_.try_emplace(path);
    if (!is_new)
        deadlines_.erase({found->second.expires, path});
    const auto lifetime = proof == Proof::receiver_index ? kLifetime : kUnprovedLifetime;
    found->second = {mtu_bytes, now + lifetime};
    deadlines_.insert({found->second.expires, path});
}

uint16_t PathMtus::limit(const Path& path, uint16_t port_mtu_bytes) const {
    const auto found = learned_.find(path);
    return found == learned_.end() ? port_mtu_bytes
                                   : std::min(port_mtu_bytes, found->second.mtu_bytes);
}

std::vector<PathMtus::Path> PathMtus::expire(Time now) {
    std::vector<Path> expired;
    while (next_deadline() <= now) {
        expired.push_back(deadlines_.begin()->second);
        learned_.erase(deadlines_.begin()->second);
        deadlines_.erase(deadlines_.begin());
    }
    return expired;
}

Time PathMtus::next_deadline() const noexcept {
    return deadlines_.empty() ? kNever : deadlines_.begin()->first;
}

}  // namespace meshgate::control
