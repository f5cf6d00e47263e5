// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "base/keys.h"

namespace meshgate::config {

// What is wrong with a key file, and the cure. Never any of its contents.
struct KeyFileProblem {
    std::string message;
    std::string fix;
};

// Of an authority: the seed of its Ed25519 key, marked as such, so that neither the key of a box
// nor that of a network can be taken for the other.
enum class KeyKind : uint8_t { private_key, preshared_key, mac_key, authority };
inline constexpr std::string_view kAuthorityMark = "ed25519:";

// A key for MACs, of any length that one may have. Wiped when it goes, as SecretKey.
class MacSecret {
public:
    static constexpr size_t kMaxLen = 64;  // of a key for MACs, bytes

    MacSecret() noexcept = default;
    MacSecret(MacSecret&& other) noexcept;
    MacSecret& operator=(MacSecret&& other) noexcept;
    MacSecret(const MacSecret&) = delete;
    MacSecret& operator=(const MacSecret&) = delete;
    ~MacSecret();

    std::span<const uint8_t> bytes() const noexcept { return std::span{bytes_}.first(len_); }
    // Two digits for each byte; false, and unchanged, for anything else.
    bool assign_hex(std::string_view digits) noexcept;

private:
    std::array<uint8_t, kMaxLen> bytes_{};
    size_t len_ = 0;
};

// Reads the key of a babel entry.
tl::expected<MacSecret, KeyFileProblem> read_mac_key_file(const std::string& path);

tl::expected<SecretKey, KeyFileProblem> read_key_file(const std::string& path, KeyKind kind);

}  // namespace meshgate::config
