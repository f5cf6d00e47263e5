// SPDX-License-Identifier: Apache-2.0
#pragma once

// The file that implements this is compiled for more than the project's floor; so this header holds
// plain data alone (see crypto/lanes.h).

#include <stdint.h>

namespace meshgate {

// As internet_sum(). Needs what has_avx512() asks for.
uint64_t internet_sum_avx512(const uint8_t* bytes, uint64_t len) noexcept;

}  // namespace meshgate
