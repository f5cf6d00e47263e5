// SPDX-License-Identifier: Apache-2.0
// The portable reference: packet after packet through libsodium.
#include <sodium.h>

#include <array>

#include "dataplane/crypto/aead.h"

namespace meshgate {

namespace {

using Nonce = std::array<uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES>;
static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == kAeadTagLen);

// libsodium's vector code spills keys and the right tag of a forged packet to the stack and leaves
// them there. More than its frames together.
constexpr size_t kFramesLen = 8192;

Nonce nonce_of(uint64_t counter) noexcept {
    Nonce nonce{};
    for (size_t i = 0; i < 8; ++i)
        nonce[4 + i] = static_cast<uint8_t>(counter >> (8 * i));
    return nonce;
}

class SodiumEngine final : public AeadEngine {
public:
    void seal(std::span<AeadJob> jobs) noexcept override {
        for (AeadJob& job : jobs) {
            const Nonce nonce = nonce_of(job.counter);
            crypto_aead_chacha20poly1305_ietf_encrypt(job.data, nullptr, job.data, job.len, nullptr,
                                                      0, nullptr, nonce.data(), job.key);
            job.ok = true;
        }
        sodium_stackzero(kFramesLen);
    }

    void open(std::span<AeadJob> jobs) noexcept override {
        for (AeadJob& job : jobs) {
            const Nonce nonce = nonce_of(job.counter);
            // Compares in constant time, decrypts afterwards.
            job.ok = job.len >= kAeadTagLen && crypto_aead_chacha20poly1305_ietf_decrypt(
                                                   job.data, nullptr, nullptr, job.data, job.len,
                                                   nullptr, 0, nonce.data(), job.key) == 0;
        }
        sodium_stackzero(kFramesLen);
    }

    const char* name() const noexcept override { return "libsodium"; }
};

}  // namespace

Result<std::unique_ptr<AeadEngine>> create_sodium_engine() {
    if (sodium_init() < 0)
        return fail("libsodium cannot start");
    return std::make_unique<SodiumEngine>();
}

}  // namespace meshgate
