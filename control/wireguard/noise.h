// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/keys.h"
#include "control/wireguard/messages.h"
#include "control/wireguard/primitives.h"
#include "control/wireguard/timestamp.h"

namespace meshgate::wireguard {

// Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard uses it (W07). Functions fill the messages up
// to the macs, which are cookie.h's. Ephemeral keys are arguments, so that vectors can be checked;
// nobody may use one twice. False: the message is not genuine, or a DH gave zero (W08).

struct Identity {
    SecretKey private_key;  // clamped
    PublicKey public_key;
};

// What both roles need to know of the other side.
struct RemoteIdentity {
    PublicKey public_key;
    SecretKey preshared_key;  // zero when there is none
    SecretKey static_static;  // DH of both static keys
};

// Computes static_static. False for a low-order public key: no message can be made for it.
[[nodiscard]] bool precompute(RemoteIdentity& remote, const Identity& own) noexcept;

struct TransportKeys {
    SecretKey send;
    SecretKey receive;
};

// What the initiator keeps until the response. Its secrets go with it.
struct SentInitiation {
    uint32_t local_index = 0;
    SecretKey ephemeral_private;
    SecretKey chaining_key;
    Hash transcript{};
};

[[nodiscard]] bool create_initiation(InitiationMessage& message, SentInitiation& sent,
                                     const Identity& own, const RemoteIdentity& remote,
                                     SecretKey ephemeral, const Timestamp& timestamp,
                                     uint32_t local_index) noexcept;

// `sent` stays as it is: whether a false response costs the handshake is the caller's choice.
[[nodiscard]] bool consume_response(TransportKeys& keys, const ResponseMessage& message,
                                    const SentInitiation& sent, const Identity& own,
                                    const RemoteIdentity& remote) noexcept;

// What the responder learns, in two steps, because who speaks stands in the message itself.
struct ReceivedInitiation {
    PublicKey remote_static;  // after open_static; believed after open_timestamp
    PublicKey remote_ephemeral;
    uint32_t remote_index = 0;
    Timestamp timestamp;  // after open_timestamp
    SecretKey chaining_key;
    Hash transcript{};
};

[[nodiscard]] bool open_static(ReceivedInitiation& received, const InitiationMessage& message,
                               const Identity& own) noexcept;
[[nodiscard]] bool open_timestamp(ReceivedInitiation& received, const InitiationMessage& message,
                                  const RemoteIdentity& remote) noexcept;

[[nodiscard]] bool create_response(ResponseMessage& message, TransportKeys& keys,
                                   const ReceivedInitiation& received, const RemoteIdentity& remote,
                                   SecretKey ephemeral, uint32_t local_index) noexcept;

}  // namespace meshgate::wireguard
