// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/keys.h"

namespace meshgate::config {

// What is wrong with a key file, and the cure. Never any of its contents.
struct KeyFileProblem {
    std::string message;
    std::string fix;
};

// Of an authority: the seed of its Ed25519 key, marked as such, so that neither the key of a box
// nor that of a network can be taken for the other.
enum class KeyKind : uint8_t { private_key, preshared_key, authority };
inline constexpr std::string_view kAuthorityMark = "ed25519:";

// Fills `key`, or says why not.
std::optional<KeyFileProblem> read_key_file(SecretKey& key, const std::string& path, KeyKind kind);

}  // namespace meshgate::config
