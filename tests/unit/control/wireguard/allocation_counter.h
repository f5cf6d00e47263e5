// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace meshgate {

// Calls of operator new by this program so far. Linking this file replaces the operators.
size_t nb_allocations() noexcept;
// What they asked for.
size_t allocated_bytes() noexcept;

}  // namespace meshgate
