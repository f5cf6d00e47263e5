// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "base/checksum_lanes.h"

namespace meshgate {

namespace {

// The sum of all 32-bit words, from the sums of all 64-bit words modulo 2^64 and of their upper
// halves, which are far from running over.
uint64_t of_words(__m512i wholes, __m512i uppers) noexcept {
    const auto upper = static_cast<uint64_t>(_mm512_reduce_add_epi64(uppers));
    const auto whole = static_cast<uint64_t>(_mm512_reduce_add_epi64(wholes));
    return whole - (upper << 32) + upper;
}

struct Sums {
    __m512i wholes = _mm512_setzero_si512();
    __m512i uppers = _mm512_setzero_si512();

    void add(__m512i words) noexcept {
        wholes = _mm512_add_epi64(wholes, words);
        uppers = _mm512_add_epi64(uppers, _mm512_srli_epi64(words, 32));
    }
};

}  // namespace

uint64_t internet_sum_avx512(const uint8_t* bytes, uint64_t len) noexcept {
    // Two, so that an addition need not wait for the one before.
    Sums even, odd;
    for (; len >= 128; len -= 128, bytes += 128) {
        even.add(_mm512_loadu_si512(bytes));
        odd.add(_mm512_loadu_si512(bytes + 64));
    }
    if (len >= 64) {
        even.add(_mm512_loadu_si512(bytes));
        bytes += 64;
        len -= 64;
    }
    odd.add(_mm512_maskz_loadu_epi8(_bzhi_u64(~uint64_t{0}, static_cast<unsigned>(len)), bytes));
    return of_words(_mm512_add_epi64(even.wholes, odd.wholes),
                    _mm512_add_epi64(even.uppers, odd.uppers));
}

}  // namespace meshgate
