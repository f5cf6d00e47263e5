// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "control/wireguard/timings.h"

namespace meshgate::wireguard {

enum class Timer : uint8_t {
    retransmit,            // the initiation went unanswered (W31)
    passive_keepalive,     // data came in and nothing went out (W32)
    dead_peer,             // data went out and nothing came in (W33)
    persistent_keepalive,  // nothing went either way (W34)
    keypair_expiry,        // a keypair reached REJECT_AFTER_TIME (W30)
    zeroize,               // no session was derived for long (W35)
    nb_timers,
};

// The timers of one peer: deadlines only, what they cause is device.cc's. Packets are told by the
// times they passed, in any order and late; a deadline is right whenever it is learnt of.
class PeerTimers {
public:
    explicit PeerTimers(const Timings& timings) noexcept;

    void arm(Timer timer, uint64_t deadline_ns) noexcept;
    void disarm(Timer timer) noexcept;
    void disarm_all() noexcept;
    bool armed(Timer timer) const noexcept;
    // The earliest deadline, or kNeverNs.
    uint64_t next_ns() const noexcept;
    // Disarms and returns the earliest timer that is due.
    std::optional<Timer> pop_due(uint64_t now_ns) noexcept;

    // 0: off. Counting starts from the last packet either way.
    void set_persistent_keepalive(uint64_t interval_ns) noexcept;

    void count_persistent_keepalive_from(uint64_t at_ns) noexcept { on_traversed(at_ns); }

    // Authenticated packets, handshake messages included. Each counts as one that traversed.
    void on_any_received(uint64_t at_ns) noexcept;
    void on_any_sent(uint64_t at_ns) noexcept;
    // The same for those that carry data; any_* must have been told up to the same moment. When
    // both directions have one time, receiving came first: a turn of the packet path receives,
    // then sends.
    void on_data_received(uint64_t at_ns) noexcept;
    void on_data_sent(uint64_t at_ns, uint64_t jitter_ns) noexcept;

    // To be called when passive_keepalive fires: starts the second wait if data came meanwhile.
    void on_passive_keepalive_sent(uint64_t due_ns) noexcept;

private:
    uint64_t& deadline(Timer timer) noexcept { return deadlines_[static_cast<size_t>(timer)]; }
    void on_traversed(uint64_t at_ns) noexcept;

    const Timings& timings_;
    std::array<uint64_t, static_cast<size_t>(Timer::nb_timers)> deadlines_;
    uint64_t persistent_interval_ns_ = 0;
    uint64_t last_traversed_ns_ = 0;
    uint64_t last_any_received_ns_ = 0;
    uint64_t last_any_sent_ns_ = 0;
    uint64_t passive_since_ns_ = 0;  // what the armed timers count from
    uint64_t dead_peer_since_ns_ = 0;
    bool data_meanwhile_ = false;  // data came while passive_keepalive was armed
    bool passive_repeats_ = false;
};

}  // namespace meshgate::wireguard
