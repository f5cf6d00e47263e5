// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the 512-bit kernels share. Everything in it is inlined wherever it is used: see lanes.h.

#include <immintrin.h>
#include <stdint.h>

#define MG_INLINE [[gnu::always_inline]] static inline

namespace meshgate {

using Vector = __m512i;

// Transposes the 4 x 4 parts of 128 bits that four registers hold.
MG_INLINE void transpose_parts(Vector& a, Vector& b, Vector& c, Vector& d) noexcept {
    const Vector ab_01 = _mm512_shuffle_i32x4(a, b, 0x44);
    const Vector ab_23 = _mm512_shuffle_i32x4(a, b, 0xee);
    const Vector cd_01 = _mm512_shuffle_i32x4(c, d, 0x44);
    const Vector cd_23 = _mm512_shuffle_i32x4(c, d, 0xee);
    a = _mm512_shuffle_i32x4(ab_01, cd_01, 0x88);
    b = _mm512_shuffle_i32x4(ab_01, cd_01, 0xdd);
    c = _mm512_shuffle_i32x4(ab_23, cd_23, 0x88);
    d = _mm512_shuffle_i32x4(ab_23, cd_23, 0xdd);
}

}  // namespace meshgate
