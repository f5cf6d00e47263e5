// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sodium.h>

#include <concepts>

namespace meshgate {

// That nobody outside may guess; ends the process where the system has none.
template <std::unsigned_integral T>
T random_number() noexcept {
    T number;
    randombytes_buf(&number, sizeof number);
    return number;
}

}  // namespace meshgate
