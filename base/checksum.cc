// SPDX-License-Identifier: Apache-2.0
#include "base/checksum.h"

#include <arpa/inet.h>
#include <emmintrin.h>

#include <cstring>

#include "base/checksum_lanes.h"
#include "base/cpu.h"

namespace meshgate {

namespace {

constexpr uint8_t kUdp = 17;
constexpr size_t kVectorLen = sizeof(__m128i);
const bool kAvx512 = has_avx512();

__m128i load(const uint8_t* from) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// Words of 32 bits in lanes of 64: 2^32 of them fit.
struct Sums {
    __m128i low = _mm_setzero_si128();
    __m128i high = _mm_setzero_si128();

    void add(__m128i words) noexcept {
        low = _mm_add_epi64(low, _mm_unpacklo_epi32(words, _mm_setzero_si128()));
        high = _mm_add_epi64(high, _mm_unpackhi_epi32(words, _mm_setzero_si128()));
    }
};

template <typename Word>
uint64_t word_at(const uint8_t* from) noexcept {
    Word word = 0;
    std::memcpy(&word, from, sizeof word);
    return word;
}

// Of fewer than 16 bytes.
uint64_t sum_of_rest(const uint8_t* next, size_t len) noexcept {
    uint64_t sum = 0;
    if ((len & 8) != 0) {
        sum += word_at<uint32_t>(next) + word_at<uint32_t>(next + 4);
        next += 8;
    }
    if ((len & 4) != 0) {
        sum += word_at<uint32_t>(next);
        next += 4;
    }
    if ((len & 2) != 0) {
        sum += word_at<uint16_t>(next);
        next += 2;
    }
    return (len & 1) != 0 ? sum + *next : sum;
}

}  // namespace

uint64_t internet_sum(std::span<const uint8_t> bytes) noexcept {
    if (kAvx512 && bytes.size() > kVectorLen)
        return internet_sum_avx512(bytes.data(), bytes.size());
    return internet_sum_sse2(bytes);
}

uint64_t internet_sum_sse2(std::span<const uint8_t> bytes) noexcept {
    // Two, so that an addition need not wait for the one before.
    Sums even, odd;
    const uint8_t* next = bytes.data();
    size_t len = bytes.size();
    for (; len >= 2 * kVectorLen; len -= 2 * kVectorLen, next += 2 * kVectorLen) {
        even.add(load(next));
        odd.add(load(next + kVectorLen));
    }
    if (len >= kVectorLen) {
        even.add(load(next));
        next += kVectorLen;
        len -= kVectorLen;
    }
    const __m128i all =
        _mm_add_epi64(_mm_add_epi64(even.low, even.high), _mm_add_epi64(odd.low, odd.high));
    const __m128i upper = _mm_unpackhi_epi64(all, all);
    return static_cast<uint64_t>(_mm_cvtsi128_si64(all)) +
           static_cast<uint64_t>(_mm_cvtsi128_si64(upper)) + sum_of_rest(next, len);
}

uint16_t l4_checksum(std::span<const uint8_t> addresses, uint8_t proto,
                     std::span<const uint8_t> l4) noexcept {
    const uint64_t sum = internet_sum(addresses) + htons(proto) +
                         htons(static_cast<uint16_t>(l4.size())) + internet_sum(l4);
    // A remainder of 0 gives 0xffff, which is the other way to write 0: the one that UDP demands,
    // where 0 says that there is no checksum (RFC 768).
    const auto checksum = static_cast<uint16_t>(~(sum % kSumModulus));
    return checksum == 0xffff && proto != kUdp ? 0 : checksum;
}

}  // namespace meshgate
