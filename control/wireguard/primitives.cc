// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/primitives.h"

#include <sodium.h>

#include <cstring>

#include "base/assert.h"

namespace meshgate::wireguard {

Blake2s::Blake2s(size_t output_len) noexcept {
    MG_ASSERT(blake2s_init(&state_, output_len) == 0);
}

Blake2s::Blake2s(size_t output_len, Bytes key) noexcept {
    MG_ASSERT(blake2s_init_key(&state_, output_len, key.data(), key.size()) == 0);
}

Blake2s::~Blake2s() {
    sodium_memzero(&state_, sizeof(state_));
}

Blake2s& Blake2s::update(Bytes bytes) noexcept {
    if (!bytes.empty())
        blake2s_update(&state_, bytes.data(), bytes.size());
    return *this;
}

void Blake2s::finish(std::span<uint8_t> output) noexcept {
    MG_ASSERT(blake2s_final(&state_, output.data(), output.size()) == 0);
}

Hash hash(Bytes first, Bytes second) noexcept {
    Hash result;
    Blake2s{result.size()}.update(first).update(second).finish(result);
    return result;
}

Mac mac(Bytes key, Bytes message) noexcept {
    Mac result;
    Blake2s{result.size(), key}.update(message).finish(result);
    return result;
}

void hmac(std::span<uint8_t, 32> output, Bytes key, Bytes first, Bytes second) noexcept {
    std::array<uint8_t, BLAKE2S_BLOCKBYTES> padded{};
    MG_ASSERT(key.size() <= padded.size());
    std::memcpy(padded.data(), key.data(), key.size());
    for (uint8_t& byte : padded)
        byte ^= 0x36;
    SecretKey inner;
    Blake2s{kKeyLen}.update(padded).update(first).update(second).finish(inner.mutable_bytes());
    for (uint8_t& byte : padded)
        byte ^= 0x36 ^ 0x5c;
    Blake2s{kKeyLen}.update(padded).update(inner.bytes()).finish(output);
    sodium_memzero(padded.data(), padded.size());
}

void kdf(std::initializer_list<SecretKey*> outputs, const SecretKey& key, Bytes input) noexcept {
    SecretKey extracted;
    hmac(extracted.mutable_bytes(), key.bytes(), input);
    SecretKey previous;
    uint8_t counter = 1;
    for (SecretKey* output : outputs) {
        const Bytes chained = counter == 1 ? Bytes{} : Bytes{previous.bytes()};
        SecretKey expanded;
        hmac(expanded.mutable_bytes(), extracted.bytes(), chained, {&counter, 1});
        previous = expanded.clone();
        *output = std::move(expanded);
        ++counter;
    }
}

bool x25519(SecretKey& shared, const SecretKey& private_key, const PublicKey& public_key) noexcept {
    const int status = crypto_scalarmult(shared.mutable_bytes().data(), private_key.bytes().data(),
                                         public_key.bytes.data());
    return status == 0 && !shared.is_zero();
}

namespace {
constexpr std::array<uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES> kZeroNonce{};
}

void aead_seal(std::span<uint8_t> sealed, const SecretKey& key, Bytes plaintext,
               Bytes additional) noexcept {
    MG_ASSERT(sealed.size() == plaintext.size() + kTagLen);
    crypto_aead_chacha20poly1305_ietf_encrypt(
        sealed.data(), nullptr, plaintext.data(), plaintext.size(), additional.data(),
        additional.size(), nullptr, kZeroNonce.data(), key.bytes().data());
}

bool aead_open(std::span<uint8_t> plaintext, const SecretKey& key, Bytes sealed,
               Bytes additional) noexcept {
    MG_ASSERT(sealed.size() == plaintext.size() + kTagLen);
    return crypto_aead_chacha20poly1305_ietf_decrypt(
               plaintext.data(), nullptr, nullptr, sealed.data(), sealed.size(), additional.data(),
               additional.size(), kZeroNonce.data(), key.bytes().data()) == 0;
}

void xaead_seal(std::span<uint8_t> sealed, const XAead& with, Bytes plaintext) noexcept {
    MG_ASSERT(sealed.size() == plaintext.size() + kTagLen);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        sealed.data(), nullptr, plaintext.data(), plaintext.size(), with.additional.data(),
        with.additional.size(), nullptr, with.nonce.data(), with.key.data());
}

bool xaead_open(std::span<uint8_t> plaintext, const XAead& with, Bytes sealed) noexcept {
    MG_ASSERT(sealed.size() == plaintext.size() + kTagLen);
    return crypto_aead_xchacha20poly1305_ietf_decrypt(
               plaintext.data(), nullptr, nullptr, sealed.data(), sealed.size(),
               with.additional.data(), with.additional.size(), with.nonce.data(),
               with.key.data()) == 0;
}

bool equal_in_constant_time(Bytes a, Bytes b) noexcept {
    return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace meshgate::wireguard
