// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "base/checksum_lanes.h"

namespace meshgate {

namespace {

// Unsigned, which _mm512_reduce_add_epi64 is not.
uint64_t add_up(__m512i words) noexcept {
    const __m256i four =
        _mm256_add_epi64(_mm512_castsi512_si256(words), _mm512_extracti64x4_epi64(words, 1));
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    return static_cast<uint64_t>(
        _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))));
}

// The sum of all 32-bit words, from the sums of all 64-bit words modulo 2^64 and of their upper
// halves, which are far from running over: lane by lane the lower halves are what is left.
uint64_t of_words(__m512i wholes, __m512i uppers) noexcept {
    const __m512i lowers = _mm512_sub_epi64(wholes, _mm512_slli_epi64(uppers, 32));
    return add_up(_mm512_add_epi64(lowers, uppers));
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
