// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/time.h"

namespace meshgate::wireguard {

constexpr uint64_t kNeverNs = UINT64_MAX;  // a deadline that does not come

// The paper's constants (section 6), under the paper's names.
constexpr uint64_t kRekeyAfterMessages = uint64_t{1} << 60;  // either side rekeys (W29)
// The initiator that sends makes a new session (W28).
constexpr uint64_t kRekeyAfterTime = 120 * kNsPerSecond;
constexpr uint64_t kRejectAfterTime = 180 * kNsPerSecond;  // no keypair is used any longer (W30)
constexpr uint64_t kRekeyTimeout = 5 * kNsPerSecond;       // between initiations (W17, W31)
constexpr uint64_t kRekeyTimeoutJitter = 333 * kNsPerMs;   // the most that is added
// After data without an answer from us: a keepalive (W32).
constexpr uint64_t kKeepaliveTimeout = 10 * kNsPerSecond;
// After the last session: all keys are wiped (W35).
constexpr uint64_t kZeroizeAfterTime = 3 * kRejectAfterTime;
constexpr unsigned kMaxInitiations = 20;  // of one attempt, the first included

// Lives and waits of sessions. The defaults are the protocol's; other values are for laboratories,
// where an hour of rekeying has to pass in a minute.
struct Timings {
    uint64_t rekey_after_messages = kRekeyAfterMessages;
    uint64_t rekey_after_time_ns = kRekeyAfterTime;
    uint64_t reject_after_time_ns = kRejectAfterTime;
    uint64_t rekey_timeout_ns = kRekeyTimeout;
    uint64_t rekey_timeout_jitter_ns = kRekeyTimeoutJitter;
    uint64_t keepalive_timeout_ns = kKeepaliveTimeout;
    uint64_t zeroize_after_time_ns = kZeroizeAfterTime;
    unsigned max_initiations = kMaxInitiations;

    // Age at which the initiator also rekeys when it receives: late enough to be the last chance.
    uint64_t rekey_on_receive_ns() const noexcept {
        return reject_after_time_ns - keepalive_timeout_ns - rekey_timeout_ns;
    }
    // Sessions that both sides initiate within this time of each other collide (W12).
    uint64_t collision_window_ns() const noexcept { return rekey_timeout_ns / 5; }
    // How long data may stay unanswered before a new handshake.
    uint64_t dead_peer_ns() const noexcept { return keepalive_timeout_ns + rekey_timeout_ns; }

    // Refuses lives that would never rekey, or wait for ever.
    Result<void> validate() const;
};

}  // namespace meshgate::wireguard
