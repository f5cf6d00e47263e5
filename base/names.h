// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace meshgate {

// The names of an enumeration's N enumerators, in their order. A name that is missing, empty or
// there twice does not compile, so an enumerator cannot be added without one.
template <size_t N, size_t Given>
consteval std::array<const char*, N> names_of(const char* const (&names)[Given]) {
    static_assert(Given == N, "one name for each enumerator");
    std::array<const char*, N> all{};
    for (size_t i = 0; i < N; ++i) {
        if (names[i] == nullptr || names[i][0] == '\0')
            throw "an enumerator has no name";
        for (size_t before = 0; before < i; ++before) {
            if (std::string_view{names[before]} == names[i])
                throw "two enumerators have the same name";
        }
        all[i] = names[i];
    }
    return all;
}

}  // namespace meshgate
