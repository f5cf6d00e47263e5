// SPDX-License-Identifier: Apache-2.0
#include "control/sessions/endpoint_conflicts.h"

#include <algorithm>

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

// A return counts while what it returns to was left within this time, and itself for as long.
constexpr auto kWindow = 30s;
constexpr size_t kReturnsOfAConflict = 3;
constexpr size_t kRemembered = 4;

}  // namespace

EndpointConflicts::Verdict EndpointConflicts::on_move(PeerId peer, const Endpoint& from,
                                                      const Endpoint& to, Time now) {
    History& history = histories_[peer];
    std::erase_if(history.left, [&](const Left& left) { return now - left.when > kWindow; });
    std::erase_if(history.returns, [&](Time when) { return now - when > quiet_; });
    const bool back = std::ranges::find(history.left, to, &Left::endpoint) != history.left.end();
    std::erase_if(history.left, [&](const Left& left) { return left.endpoint == from; });
    history.left.push_back({from, now});
    if (history.left.size() > kRemembered)
        history.left.pop_front();
    const bool lasts = history.conflict && !history.returns.empty();
    if (back || lasts) {
        history.returns.push_back(now);
        if (history.returns.size() > kReturnsOfAConflict)
            history.returns.pop_front();
    }
    if (back) {
        history.one = from;
        history.other = to;
    }
    if (lasts)
        return Verdict::conflict;  // whatever this move is
    history.conflict =
        history.returns.size() >= kReturnsOfAConflict && now - history.returns.front() <= kWindow;
    if (!history.conflict) {
        conflicts_.erase(peer);
        return Verdict::moved;
    }
    conflicts_.insert(peer);
    return Verdict::begins;
}

void EndpointConflicts::forget(PeerId peer) {
    histories_.erase(peer);
    conflicts_.erase(peer);
}

std::vector<EndpointConflicts::Conflict> EndpointConflicts::at(Time now) {
    std::vector<Conflict> result;
    for (auto it = conflicts_.begin(); it != conflicts_.end();) {
        const auto history = histories_.find(*it);
        if (now - history->second.returns.back() > quiet_) {
            histories_.erase(history);
            it = conflicts_.erase(it);
            continue;
        }
        // In one order, whichever was heard last.
        const auto [one, other] = std::minmax(history->second.one, history->second.other);
        result.push_back({.peer = *it, .one = one, .other = other});
        ++it;
    }
    return result;
}

}  // namespace meshgate::control
