// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/timers.h"

#include <algorithm>

namespace meshgate::wireguard {

PeerTimers::PeerTimers(const Timings& timings) noexcept : timings_{timings} {
    deadlines_.fill(kNeverNs);
}

void PeerTimers::arm(Timer timer, uint64_t deadline_ns) noexcept {
    deadline(timer) = deadline_ns;
}

void PeerTimers::disarm(Timer timer) noexcept {
    deadline(timer) = kNeverNs;
}

void PeerTimers::disarm_all() noexcept {
    deadlines_.fill(kNeverNs);
    data_meanwhile_ = false;
    passive_repeats_ = false;
}

bool PeerTimers::armed(Timer timer) const noexcept {
    return deadlines_[static_cast<size_t>(timer)] != kNeverNs;
}

uint64_t PeerTimers::next_ns() const noexcept {
    return *std::min_element(deadlines_.begin(), deadlines_.end());
}

std::optional<Timer> PeerTimers::pop_due(uint64_t now_ns) noexcept {
    const auto earliest = std::min_element(deadlines_.begin(), deadlines_.end());
    if (*earliest > now_ns || *earliest == kNeverNs)
        return std::nullopt;
    *earliest = kNeverNs;
    return static_cast<Timer>(earliest - deadlines_.begin());
}

void PeerTimers::set_persistent_keepalive(uint64_t interval_ns) noexcept {
    persistent_interval_ns_ = interval_ns;
    if (interval_ns == 0)
        disarm(Timer::persistent_keepalive);
    else if (last_traversed_ns_ != 0)
        arm(Timer::persistent_keepalive, last_traversed_ns_ + interval_ns);
}

void PeerTimers::on_traversed(uint64_t at_ns) noexcept {
    last_traversed_ns_ = std::max(last_traversed_ns_, at_ns);
    if (persistent_interval_ns_ != 0)
        arm(Timer::persistent_keepalive, last_traversed_ns_ + persistent_interval_ns_);
}

void PeerTimers::on_any_received(uint64_t at_ns) noexcept {
    last_any_received_ns_ = std::max(last_any_received_ns_, at_ns);
    if (armed(Timer::dead_peer) && dead_peer_since_ns_ < at_ns)
        disarm(Timer::dead_peer);
    on_traversed(at_ns);
}

void PeerTimers::on_any_sent(uint64_t at_ns) noexcept {
    last_any_sent_ns_ = std::max(last_any_sent_ns_, at_ns);
    // The first keepalive must not cancel the second, which it precedes.
    if (armed(Timer::passive_keepalive) && passive_since_ns_ <= at_ns && !passive_repeats_)
        disarm(Timer::passive_keepalive);
    on_traversed(at_ns);
}

void PeerTimers::on_data_received(uint64_t at_ns) noexcept {
    if (at_ns <= last_any_sent_ns_)
        return;
    if (armed(Timer::passive_keepalive)) {
        data_meanwhile_ = true;
        return;
    }
    passive_since_ns_ = at_ns;
    data_meanwhile_ = false;
    passive_repeats_ = false;
    arm(Timer::passive_keepalive, at_ns + timings_.keepalive_timeout_ns);
}

void PeerTimers::on_data_sent(uint64_t at_ns, uint64_t jitter_ns) noexcept {
    if (armed(Timer::passive_keepalive) && passive_since_ns_ <= at_ns)
        disarm(Timer::passive_keepalive);
    if (at_ns < last_any_received_ns_ || armed(Timer::dead_peer))
        return;
    dead_peer_since_ns_ = at_ns;
    arm(Timer::dead_peer, at_ns + timings_.dead_peer_ns() + jitter_ns);
}

void PeerTimers::on_passive_keepalive_sent(uint64_t due_ns) noexcept {
    if (!data_meanwhile_)
        return;
    data_meanwhile_ = false;
    passive_repeats_ = true;
    passive_since_ns_ = due_ns;
    arm(Timer::passive_keepalive, due_ns + timings_.keepalive_timeout_ns);
}

}  // namespace meshgate::wireguard
