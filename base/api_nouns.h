// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

namespace meshgate {

// What `meshgate show` lists, the verb "show NOUN" of the API and /api/v1/NOUN of the web process.
// Man page and manual are held to it by tests/check/nouns.py.
inline constexpr std::array<std::string_view, 10> kApiNouns = {
    "peers", "routes", "ports", "drops", "workers", "babel", "links", "paths", "members", "relays"};

}  // namespace meshgate
