// SPDX-License-Identifier: Apache-2.0
#include "base/keys.h"

#include <sodium.h>

#include <cstring>

#include "base/assert.h"

namespace meshgate {

namespace {

constexpr size_t kBase64Len = 44;

// sodium_base642bin refuses non-canonical padding bits, as `wg` does.
bool decode(std::span<uint8_t, kKeyLen> out, std::string_view base64) noexcept {
    size_t len = 0;
    const char* end = nullptr;
    if (base64.size() != kBase64Len)
        return false;
    const int status = sodium_base642bin(out.data(), out.size(), base64.data(), base64.size(),
                                         nullptr, &len, &end, sodium_base64_VARIANT_ORIGINAL);
    return status == 0 && len == kKeyLen && end == base64.data() + base64.size();
}

std::string encode(std::span<const uint8_t, kKeyLen> bytes) {
    std::array<char, kBase64Len + 1> text{};
    sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    std::string result{text.data()};
    sodium_memzero(text.data(), text.size());
    return result;
}

void clamp(std::span<uint8_t, kKeyLen> key) noexcept {
    key[0] &= 248;
    key[31] = static_cast<uint8_t>((key[31] & 127) | 64);
}

}  // namespace

SecretKey::SecretKey(std::span<const uint8_t, kKeyLen> bytes) noexcept {
    std::memcpy(bytes_.data(), bytes.data(), kKeyLen);
}

SecretKey::SecretKey(SecretKey&& other) noexcept : bytes_{other.bytes_} {
    other.wipe();
}

SecretKey& SecretKey::operator=(SecretKey&& other) noexcept {
    if (this != &other) {
        bytes_ = other.bytes_;
        other.wipe();
    }
    return *this;
}

SecretKey::~SecretKey() {
    wipe();
}

void SecretKey::wipe() noexcept {
    sodium_memzero(bytes_.data(), bytes_.size());
}

bool SecretKey::is_zero() const noexcept {
    return sodium_is_zero(bytes_.data(), bytes_.size()) == 1;
}

bool SecretKey::equals(const SecretKey& other) const noexcept {
    return sodium_memcmp(bytes_.data(), other.bytes_.data(), kKeyLen) == 0;
}

PublicKey public_key_of(const SecretKey& private_key) noexcept {
    SecretKey clamped = private_key.clone();
    clamp(clamped.mutable_bytes());
    PublicKey result;
    crypto_scalarmult_base(result.bytes.data(), clamped.bytes().data());
    return result;
}

SecretKey generate_private_key() {
    MG_ASSERT(sodium_init() >= 0);
    SecretKey key;
    randombytes_buf(key.mutable_bytes().data(), kKeyLen);
    clamp(key.mutable_bytes());
    return key;
}

std::optional<PublicKey> parse_public_key(std::string_view base64) {
    PublicKey key;
    if (!decode(key.bytes, base64))
        return std::nullopt;
    return key;
}

std::optional<SecretKey> parse_secret_key(std::string_view base64) {
    SecretKey key;
    if (!decode(key.mutable_bytes(), base64))
        return std::nullopt;
    return key;
}

std::string to_string(const PublicKey& key) {
    return encode(key.bytes);
}

std::string to_base64(const SecretKey& key) {
    return encode(key.bytes());
}

}  // namespace meshgate
