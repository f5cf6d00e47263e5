// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/noise.h"

#include <string_view>

namespace meshgate::wireguard {

namespace {

constexpr std::string_view kConstruction = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
constexpr std::string_view kIdentifier = "WireGuard v1 zx2c4 Jason@zx2c4.com";
static_assert(kConstruction.size() == 37 && kIdentifier.size() == 34);

Bytes bytes_of(std::string_view text) noexcept {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Noise's SymmetricState: chaining key, message key and transcript hash.
class Transcript {
public:
    // Both sides start from the responder's static key, which the initiator knows beforehand.
    explicit Transcript(const PublicKey& responder) noexcept {
        const Hash start = hash(bytes_of(kConstruction));
        chaining_key_ = SecretKey{start};
        hash_ = hash(start, bytes_of(kIdentifier));
        mix_hash(responder.bytes);
    }
    Transcript(const SecretKey& chaining_key, const Hash& transcript) noexcept
        : chaining_key_{chaining_key.clone()}, hash_{transcript} {}

    void mix_hash(Bytes bytes) noexcept { hash_ = hash(hash_, bytes); }

    // A public ephemeral key: with a preshared key it goes into the chaining key, too.
    void mix_ephemeral(const PublicKey& ephemeral) noexcept {
        mix_hash(ephemeral.bytes);
        kdf({&chaining_key_}, chaining_key_, ephemeral.bytes);
    }
    void mix_key(const SecretKey& shared) noexcept {
        kdf({&chaining_key_, &key_}, chaining_key_, shared.bytes());
    }
    [[nodiscard]] bool mix_dh(const SecretKey& private_key, const PublicKey& public_key) noexcept {
        SecretKey shared;
        if (!x25519(shared, private_key, public_key))
            return false;
        mix_key(shared);
        return true;
    }
    void mix_preshared(const SecretKey& preshared_key) noexcept {
        SecretKey tempered;
        kdf({&chaining_key_, &tempered, &key_}, chaining_key_, preshared_key.bytes());
        mix_hash(tempered.bytes());
    }

    void seal(std::span<uint8_t> sealed, Bytes plaintext) noexcept {
        aead_seal(sealed, key_, plaintext, hash_);
        mix_hash(sealed);
    }
    [[nodiscard]] bool open(std::span<uint8_t> plaintext, Bytes sealed) noexcept {
        if (!aead_open(plaintext, key_, sealed, hash_))
            return false;
        mix_hash(sealed);
        return true;
    }

    const SecretKey& chaining_key() const noexcept { return chaining_key_; }
    const Hash& transcript_hash() const noexcept { return hash_; }

private:
    SecretKey chaining_key_;
    SecretKey key_;
    Hash hash_{};
};

}  // namespace

bool precompute(RemoteIdentity& remote, const Identity& own) noexcept {
    return x25519(remote.static_static, own.private_key, remote.public_key);
}

bool create_initiation(InitiationMessage& message, SentInitiation& sent, const Identity& own,
                       const RemoteIdentity& remote, SecretKey ephemeral,
                       const Timestamp& timestamp, uint32_t local_index) noexcept {
    if (remote.static_static.is_zero())
        return false;
    Transcript transcript{remote.public_key};
    message = {};
    message.type = to_le32(static_cast<uint32_t>(MessageType::initiation));
    message.sender_index = to_le32(local_index);

    const PublicKey ephemeral_public = public_key_of(ephemeral);
    message.ephemeral = ephemeral_public.bytes;
    transcript.mix_ephemeral(ephemeral_public);            // e
    if (!transcript.mix_dh(ephemeral, remote.public_key))  // es
        return false;
    transcript.seal(message.encrypted_static, own.public_key.bytes);  // s
    transcript.mix_key(remote.static_static);                         // ss
    transcript.seal(message.encrypted_timestamp, timestamp.bytes);    // {t}

    sent.local_index = local_index;
    sent.ephemeral_private = std::move(ephemeral);
    sent.chaining_key = transcript.chaining_key().clone();
    sent.transcript = transcript.transcript_hash();
    return true;
}

bool consume_response(TransportKeys& keys, const ResponseMessage& message,
                      const SentInitiation& sent, const Identity& own,
                      const RemoteIdentity& remote) noexcept {
    Transcript transcript{sent.chaining_key, sent.transcript};
    const PublicKey ephemeral{message.ephemeral};
    transcript.mix_ephemeral(ephemeral);                        // e
    if (!transcript.mix_dh(sent.ephemeral_private, ephemeral))  // ee
        return false;
    if (!transcript.mix_dh(own.private_key, ephemeral))  // se
        return false;
    transcript.mix_preshared(remote.preshared_key);       // psk
    if (!transcript.open({}, message.encrypted_nothing))  // {}
        return false;
    kdf({&keys.send, &keys.receive}, transcript.chaining_key(), {});
    return true;
}

bool open_static(ReceivedInitiation& received, const InitiationMessage& message,
                 const Identity& own) noexcept {
    Transcript transcript{own.public_key};
    received.remote_ephemeral = PublicKey{message.ephemeral};
    received.remote_index = from_le32(message.sender_index);
    transcript.mix_ephemeral(received.remote_ephemeral);                 // e
    if (!transcript.mix_dh(own.private_key, received.remote_ephemeral))  // es
        return false;
    if (!transcript.open(received.remote_static.bytes, message.encrypted_static))  // s
        return false;
    received.chaining_key = transcript.chaining_key().clone();
    received.transcript = transcript.transcript_hash();
    return true;
}

bool open_timestamp(ReceivedInitiation& received, const InitiationMessage& message,
                    const RemoteIdentity& remote) noexcept {
    if (remote.static_static.is_zero())
        return false;
    Transcript transcript{received.chaining_key, received.transcript};
    transcript.mix_key(remote.static_static);                                     // ss
    if (!transcript.open(received.timestamp.bytes, message.encrypted_timestamp))  // {t}
        return false;
    received.chaining_key = transcript.chaining_key().clone();
    received.transcript = transcript.transcript_hash();
    return true;
}

bool create_response(ResponseMessage& message, TransportKeys& keys,
                     const ReceivedInitiation& received, const RemoteIdentity& remote,
                     SecretKey ephemeral, uint32_t local_index) noexcept {
    Transcript transcript{received.chaining_key, received.transcript};
    message = {};
    message.type = to_le32(static_cast<uint32_t>(MessageType::response));
    message.sender_index = to_le32(local_index);
    message.receiver_index = to_le32(received.remote_index);

    const PublicKey ephemeral_public = public_key_of(ephemeral);
    message.ephemeral = ephemeral_public.bytes;
    transcript.mix_ephemeral(ephemeral_public);                    // e
    if (!transcript.mix_dh(ephemeral, received.remote_ephemeral))  // ee
        return false;
    if (!transcript.mix_dh(ephemeral, remote.public_key))  // se
        return false;
    transcript.mix_preshared(remote.preshared_key);  // psk
    transcript.seal(message.encrypted_nothing, {});  // {}
    kdf({&keys.receive, &keys.send}, transcript.chaining_key(), {});
    return true;
}

}  // namespace meshgate::wireguard
