// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace meshgate {

constexpr size_t kKeyLen = 32;

// A Curve25519 public key. Not a secret: may be printed, compared, sorted.
struct PublicKey {
    std::array<uint8_t, kKeyLen> bytes{};

    auto operator<=>(const PublicKey&) const = default;
};

// 32 secret bytes (private key, preshared key, chaining key). Moves wipe the source, destruction
// wipes; no copy, no operator==, no way to print it.
class SecretKey {
public:
    SecretKey() noexcept = default;
    explicit SecretKey(std::span<const uint8_t, kKeyLen> bytes) noexcept;
    SecretKey(SecretKey&& other) noexcept;
    SecretKey& operator=(SecretKey&& other) noexcept;
    SecretKey(const SecretKey&) = delete;
    SecretKey& operator=(const SecretKey&) = delete;
    ~SecretKey();

    // An explicit second copy, for the few places that need one.
    SecretKey clone() const noexcept { return SecretKey{bytes_}; }
    void wipe() noexcept;
    // Constant time.
    bool is_zero() const noexcept;
    // Constant time.
    bool equals(const SecretKey& other) const noexcept;

    std::span<const uint8_t, kKeyLen> bytes() const noexcept { return bytes_; }
    std::span<uint8_t, kKeyLen> mutable_bytes() noexcept { return bytes_; }

private:
    std::array<uint8_t, kKeyLen> bytes_{};
};

// X25519 with the base point. The private key is clamped first, as `wg pubkey` does.
PublicKey public_key_of(const SecretKey& private_key) noexcept;
// A fresh clamped private key from the kernel's random numbers (waits until they are seeded, W11).
SecretKey generate_private_key();

// Base64 as `wg` writes it: 44 characters, padded, canonical; empty for anything else.
std::optional<PublicKey> parse_public_key(std::string_view base64);
// Constant time in the contents.
std::optional<SecretKey> parse_secret_key(std::string_view base64);
std::string to_string(const PublicKey& key);
// For `genkey` alone: the one place where a secret becomes text.
std::string to_base64(const SecretKey& key);

}  // namespace meshgate
