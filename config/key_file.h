// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/keys.h"

namespace meshgate::config {

// What is wrong with a key file, and the cure. Never any of its contents.
struct KeyFileProblem {
    std::string message;
    std::string fix;
};

enum class KeyKind : uint8_t { private_key, preshared_key };

// Fills `key`, or says why not.
std::optional<KeyFileProblem> read_key_file(SecretKey& key, const std::string& path, KeyKind kind);

}  // namespace meshgate::config
