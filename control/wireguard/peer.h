// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "control/wireguard/cookie.h"
#include "control/wireguard/device.h"
#include "control/wireguard/keypair_slots.h"
#include "control/wireguard/noise.h"
#include "control/wireguard/timers.h"

namespace meshgate::wireguard {

// All that the device knows of one peer. Transport keys are not here: they went to the packet path.
struct Peer {
    Peer(PeerId peer_id, const PublicKey& public_key, const Timings& timings)
        : id{peer_id}, cookies{public_key}, timers{timings} {
        remote.public_key = public_key;
    }

    const PeerId id;
    RemoteIdentity remote;
    bool usable_key = false;  // we have a private key, and the DH with theirs is not zero
    uint16_t persistent_keepalive_s = 0;
    std::optional<Location> endpoint;

    // Handshakes
    CookieJar cookies;
    // Waits for its response. By pointer: mostly there is none, and peers are many.
    std::unique_ptr<SentInitiation> sent_initiation;
    unsigned initiations_of_attempt = 0;
    std::optional<uint64_t> last_initiation_sent_ns;
    std::optional<uint64_t> last_initiation_accepted_ns;
    Timestamp last_timestamp_sent;
    Timestamp greatest_timestamp;  // of theirs, for the life of the peer (W15)

    // Sessions
    KeypairSlots slots;
    bool may_send = true;             // false after a fork, until the next session
    bool rekeyed_on_receive = false;  // once per session (W28)
    uint64_t last_handshake_wall_ns = 0;
    Activity activity;

    PeerTimers timers;
    uint64_t queued_deadline_ns = kNeverNs;  // under which the device's queue has this peer
    HandshakeCounters counters{};
};

}  // namespace meshgate::wireguard
