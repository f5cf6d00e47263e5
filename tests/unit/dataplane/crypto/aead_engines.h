// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "dataplane/crypto/aead.h"

namespace meshgate {

// All but those of which a processor without their vectors says so; the portable ones must be
// there.
inline std::vector<AeadEngineRow> engines_of_this_processor() {
    std::vector<AeadEngineRow> engines{aead_engines().begin(), aead_engines().end()};
    std::erase_if(engines, [](const AeadEngineRow& row) {
        return row.choice == AeadChoice::cross_packet && !row.factory();
    });
    return engines;
}

// GoogleTest allows letters, digits and underscores.
inline std::string test_name_of(const AeadEngineRow& engine) {
    std::string name = engine.name;
    std::ranges::replace_if(
        name, [](char c) { return c == '-' || c == '/'; }, '_');
    return name;
}

}  // namespace meshgate
