// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/suspicion.h"

#include <algorithm>
#include <utility>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// The first hold-down of a relay that forwarded nothing: longer than a relay takes to restart.
constexpr auto kFirstHoldDown = 30s;
// 30 s, 1, 2, 4, 8, and 16 min from then on.
constexpr unsigned kMaxDoublings = 5;
// A relay that said no is asked again soon: it may have got a route, or room.
constexpr auto kRefusalHoldDown = 2s;
// So long after a hold-down the next one still counts as one more.
constexpr auto kMemory = 30min;

}  // namespace

bool Suspicion::hold_down(Entry& entry, Time until) {
    entry.until = std::max(entry.until, until);
    return !std::exchange(entry.held_down, true);
}

bool Suspicion::on_silence(const IpAddress& target, const IpAddress& relay, Time now) {
    Entry& entry = by_target_[target][relay];
    const auto lasts = kFirstHoldDown * (1U << std::min(entry.nb_silences, kMaxDoublings));
    ++entry.nb_silences;
    return hold_down(entry, now + lasts);
}

bool Suspicion::on_refusal(const IpAddress& target, const IpAddress& relay, Time now) {
    return hold_down(by_target_[target][relay], now + kRefusalHoldDown);
}

void Suspicion::forget_relay(const IpAddress& relay) {
    for (auto& [target, relays] : by_target_)
        relays.erase(relay);
}

bool Suspicion::tick(Time now) {
    bool any_ended = false;
    for (auto& [target, relays] : by_target_) {
        for (auto& [relay, entry] : relays) {
            if (entry.held_down && entry.until <= now) {
                entry.held_down = false;
                any_ended = true;
            }
        }
        std::erase_if(relays,
                      [now](const auto& entry) { return entry.second.until + kMemory <= now; });
    }
    std::erase_if(by_target_, [](const auto& entry) { return entry.second.empty(); });
    return any_ended;
}

std::set<IpAddress> Suspicion::held_down(const IpAddress& target) const {
    std::set<IpAddress> result;
    const auto relays = by_target_.find(target);
    if (relays == by_target_.end())
        return result;
    for (const auto& [relay, entry] : relays->second) {
        if (entry.held_down)
            result.insert(relay);
    }
    return result;
}

bool Suspicion::is_held_down(const IpAddress& target, const IpAddress& relay) const {
    const auto relays = by_target_.find(target);
    if (relays == by_target_.end())
        return false;
    const auto entry = relays->second.find(relay);
    return entry != relays->second.end() && entry->second.held_down;
}

}  // namespace meshgate::mesh
