// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/failover.h"

#include <algorithm>

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

constexpr unsigned kMaxUnanswered = 1;  // initiations before a gateway is left
// Until a gateway that was left is tried again; doubled each time it fails.
constexpr Time::duration kFirstBackoff = 10s;
constexpr Time::duration kMaxBackoff = 5min;  // the longest of them
// Hysteresis: a home that is left again sooner than this after a return keeps its backoff.
constexpr auto kSettled = 10min;

}  // namespace

Failover::Route Failover::on_initiation(PeerId peer, const NextHop& present, Time now) {
    State& state = peers_[peer];
    if (state.trial == Trial::begins) {
        state.trial = Trial::sent;
        return Route::home;
    }
    if (state.trial == Trial::sent) {
        // The trial was not answered; its repetition goes where the peer was heard last.
        state.trial = Trial::none;
        state.backoff = std::min(2 * state.backoff, kMaxBackoff);
        set_due(peer, state, now + state.backoff);
    }
    if (++state.nb_unanswered <= kMaxUnanswered)
        return Route::present;
    leave(peer, present, now);
    state.nb_unanswered = 1;
    state.answered = false;
    return Route::rechosen;
}

void Failover::leave(PeerId peer, const NextHop& gateway, Time now) {
    State& state = peers_[peer];
    if (std::ranges::count(state.avoided, gateway) != 0)
        return;
    state.avoided.push_back(gateway);
    state.nb_unanswered = 0;
    if (state.avoided.size() > 1)
        return;
    const bool again = state.returned != Time{} && now - state.returned < kSettled;
    state.backoff = again ? std::min(2 * state.backoff, kMaxBackoff) : kFirstBackoff;
    state.answered = true;
    set_due(peer, state, now + state.backoff);
}

void Failover::prefer(PeerId peer, const NextHop& gateway, Time now) {
    if (!avoided(peer).empty())
        return;
    leave(peer, gateway, now);
    peers_.at(peer).chose = true;
}

void Failover::give_in(PeerId peer) {
    State& state = peers_[peer];
    state.avoided.clear();
    state.chose = false;
    state.trial = Trial::none;
    set_due(peer, state, kNever);
}

bool Failover::on_handshake(PeerId peer, Initiator initiator, Time now) {
    const auto found = peers_.find(peer);
    if (found == peers_.end())
        return false;
    State& state = found->second;
    state.nb_unanswered = 0;
    state.answered = true;
    if (state.trial == Trial::sent && initiator == Initiator::us) {
        come_home(peer, state, now);
        return true;
    }
    if (state.avoided.empty() && state.returned == Time{})
        forget(peer);
    return false;
}

bool Failover::on_heard_at(PeerId peer, PortId port, Time now) {
    const auto found = peers_.find(peer);
    if (found == peers_.end() || found->second.avoided.empty())
        return false;
    State& state = found->second;
    if (state.avoided.front().port != port) {
        state.answered = true;
        return false;
    }
    come_home(peer, state, now);
    return true;
}

void Failover::come_home(PeerId peer, State& state, Time now) {
    give_in(peer);
    state.nb_unanswered = 0;
    state.returned = now;
}

void Failover::forget(PeerId peer) {
    const auto found = peers_.find(peer);
    if (found == peers_.end())
        return;
    due_.erase({found->second.due, peer});
    peers_.erase(found);
}

std::span<const NextHop> Failover::avoided(PeerId peer) const {
    const auto found = peers_.find(peer);
    return found == peers_.end() ? std::span<const NextHop>{} : found->second.avoided;
}

const NextHop* Failover::home_of(PeerId peer) const {
    const auto all = avoided(peer);
    return all.empty() ? nullptr : &all.front();
}

std::vector<PeerId> Failover::take_due(Time now) {
    std::vector<PeerId> result;
    while (next_deadline() <= now) {
        const PeerId peer = due_.begin()->second;
        State& state = peers_.at(peer);
        set_due(peer, state, kNever);
        // Silent everywhere: its own initiations go round the gateways anyway.
        if (state.answered)
            result.push_back(peer);
        else
            set_due(peer, state, now + state.backoff);
    }
    return result;
}

void Failover::try_home(PeerId peer) {
    peers_.at(peer).trial = Trial::begins;
}

void Failover::wait(PeerId peer, Time now) {
    set_due(peer, peers_.at(peer), now + kFirstBackoff);
}

Time Failover::next_deadline() const noexcept {
    return due_.empty() ? kNever : due_.begin()->first;
}

std::map<PortId, size_t> Failover::nb_moved() const {
    std::map<PortId, size_t> result;
    for (const auto& [peer, state] : peers_) {
        if (!state.avoided.empty() && state.answered && !state.chose)
            ++result[state.avoided.front().port];
    }
    return result;
}

void Failover::set_due(PeerId peer, State& state, Time due) {
    due_.erase({state.due, peer});
    state.due = due;
    if (due != kNever)
        due_.insert({due, peer});
}

}  // namespace meshgate::control
