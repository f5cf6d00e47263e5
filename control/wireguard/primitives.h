// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <blake2.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/keys.h"
#include "control/wireguard/messages.h"

namespace meshgate::wireguard {

using Bytes = std::span<const uint8_t>;
using Hash = std::array<uint8_t, 32>;

// BLAKE2s (RFC 7693), wiped when it goes. One message per object.
class Blake2s {
public:
    explicit Blake2s(size_t output_len) noexcept;
    Blake2s(size_t output_len, Bytes key) noexcept;  // keyed: a MAC
    Blake2s(const Blake2s&) = delete;
    Blake2s& operator=(const Blake2s&) = delete;
    ~Blake2s();

    Blake2s& update(Bytes bytes) noexcept;
    void finish(std::span<uint8_t> output) noexcept;

private:
    blake2s_state state_;
};

Hash hash(Bytes first, Bytes second = {}) noexcept;
// BLAKE2s with a 16-byte output, keyed.
Mac mac(Bytes key, Bytes message) noexcept;
// HMAC (RFC 2104) over BLAKE2s with its 64-byte block. Keys of up to 64 bytes.
void hmac(std::span<uint8_t, 32> output, Bytes key, Bytes first, Bytes second = {}) noexcept;

// HKDF of the paper: Kdf1, Kdf2 or Kdf3 by the number of outputs, of which one may be `key`.
void kdf(std::initializer_list<SecretKey*> outputs, const SecretKey& key, Bytes input) noexcept;

// False when the result is all zero, as low-order points make it (W08); then it is not to be used.
[[nodiscard]] bool x25519(SecretKey& shared, const SecretKey& private_key,
                          const PublicKey& public_key) noexcept;

// ChaCha20-Poly1305 with the handshake's nonce, which is always 0: each key seals once.
// `sealed` is kTagLen longer than `plaintext`.
void aead_seal(std::span<uint8_t> sealed, const SecretKey& key, Bytes plaintext,
               Bytes additional) noexcept;
[[nodiscard]] bool aead_open(std::span<uint8_t> plaintext, const SecretKey& key, Bytes sealed,
                             Bytes additional) noexcept;

// XChaCha20-Poly1305, for cookies.
struct XAead {
    Bytes key;    // 32 bytes
    Bytes nonce;  // kXNonceLen bytes
    Bytes additional;
};
void xaead_seal(std::span<uint8_t> sealed, const XAead& with, Bytes plaintext) noexcept;
[[nodiscard]] bool xaead_open(std::span<uint8_t> plaintext, const XAead& with,
                              Bytes sealed) noexcept;

// Constant time; sizes must be equal.
bool equal_in_constant_time(Bytes a, Bytes b) noexcept;

}  // namespace meshgate::wireguard
