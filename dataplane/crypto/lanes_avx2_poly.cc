// SPDX-License-Identifier: Apache-2.0
// Poly1305 (RFC 8439, 2.5) of four messages beside each other, a number in five limbs of 26 bits.
// Includes no header with inline functions but the intrinsics': see lanes.h.
#include <immintrin.h>

#include "dataplane/crypto/lanes.h"

#define MG_INLINE [[gnu::always_inline]] static inline

namespace meshgate {

namespace {

using Vector = __m256i;

constexpr unsigned kLanes = 4;
constexpr uint32_t kBlockLen = 16;
constexpr uint32_t kChunkLen = 32;  // what is loaded and transposed together
constexpr uint32_t kChunkBlocks = kChunkLen / kBlockLen;

struct Number {
    Vector limbs[5];
};

// r, and 5 r for what the reduction modulo 2^130 - 5 folds back.
struct Multiplier {
    Vector r[5];
    Vector r_times_5[5];
};

MG_INLINE Vector mask26() noexcept {
    return _mm256_set1_epi64x((1LL << 26) - 1);
}

MG_INLINE Number split(Vector low, Vector high) noexcept {
    return {
        {_mm256_and_si256(low, mask26()), _mm256_and_si256(_mm256_srli_epi64(low, 26), mask26()),
         _mm256_and_si256(_mm256_or_si256(_mm256_srli_epi64(low, 52), _mm256_slli_epi64(high, 12)),
                          mask26()),
         _mm256_and_si256(_mm256_srli_epi64(high, 14), mask26()), _mm256_srli_epi64(high, 40)}};
}

// h = (h + block) * r. The limbs of h stay below 2^27, so that each sum of products stays below
// 2^59.
MG_INLINE void absorb(Number& h, const Number& block, const Multiplier& by) noexcept {
    Vector a[5];
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i)
        a[i] = _mm256_add_epi64(h.limbs[i], block.limbs[i]);
    Vector d[5];
#pragma GCC unroll 5
    for (int k = 0; k < 5; ++k) {
        d[k] = _mm256_mul_epu32(a[0], by.r[k]);
#pragma GCC unroll 4
        for (int i = 1; i < 5; ++i)
            d[k] = _mm256_add_epi64(
                d[k], _mm256_mul_epu32(a[i], i <= k ? by.r[k - i] : by.r_times_5[5 + k - i]));
    }
    // Two carries at a time, from limbs 0 and 3 on.
    const auto carry = [&](int from, int to) {
        const Vector over = _mm256_srli_epi64(d[from], 26);
        d[from] = _mm256_and_si256(d[from], mask26());
        d[to] = _mm256_add_epi64(d[to], over);
    };
    carry(0, 1);
    carry(3, 4);
    carry(1, 2);
    const Vector over = _mm256_srli_epi64(d[4], 26);
    d[4] = _mm256_and_si256(d[4], mask26());
    d[0] = _mm256_add_epi64(d[0], _mm256_add_epi64(over, _mm256_slli_epi64(over, 2)));
    carry(2, 3);
    carry(0, 1);
    carry(3, 4);
#pragma GCC unroll 5
    for (int k = 0; k < 5; ++k)
        h.limbs[k] = d[k];
}

// Transposes 4 x 4 words of 64 bits.
MG_INLINE void transpose_quads(Vector (&m)[4]) noexcept {
    const Vector low01 = _mm256_unpacklo_epi64(m[0], m[1]);
    const Vector high01 = _mm256_unpackhi_epi64(m[0], m[1]);
    const Vector low23 = _mm256_unpacklo_epi64(m[2], m[3]);
    const Vector high23 = _mm256_unpackhi_epi64(m[2], m[3]);
    m[0] = _mm256_permute2x128_si256(low01, low23, 0x20);
    m[1] = _mm256_permute2x128_si256(high01, high23, 0x20);
    m[2] = _mm256_permute2x128_si256(low01, low23, 0x31);
    m[3] = _mm256_permute2x128_si256(high01, high23, 0x31);
}

MG_INLINE Vector load(const void* from) noexcept {
    return _mm256_loadu_si256(static_cast<const Vector*>(from));
}

MG_INLINE Vector bit_128() noexcept {
    return _mm256_set1_epi64x(1LL << 24);
}

MG_INLINE void absorb_chunk(Number& h, Vector (&m)[4], const Vector (&hibit)[kChunkBlocks],
                            const Multiplier& by) noexcept {
    transpose_quads(m);
#pragma GCC unroll 2
    for (uint32_t b = 0; b < kChunkBlocks; ++b) {
        Number block = split(m[2 * b], m[2 * b + 1]);
        block.limbs[4] = _mm256_or_si256(block.limbs[4], hibit[b]);
        absorb(h, block, by);
    }
}

// All messages end with the last chunk. A shorter one begins later, and where its blocks are an odd
// number, inside a chunk: zeros in front of a polynomial change nothing.
struct Span {
    uint64_t nb_chunks;
    uint64_t nb_leading;  // blocks of the first chunk before the message begins
};

MG_INLINE Span span_of(uint64_t len) noexcept {
    const uint64_t nb_blocks = (len + kBlockLen - 1) / kBlockLen;
    const uint64_t nb_chunks = (nb_blocks + kChunkBlocks - 1) / kChunkBlocks;
    return {nb_chunks, nb_chunks * kChunkBlocks - nb_blocks};
}

// A chunk in which messages may begin or end, or not be there yet.
MG_INLINE void absorb_edge(Number& h, const PolyLane* lanes, const Span* spans, uint64_t left,
                           const Multiplier& by) noexcept {
    uint8_t bytes[kLanes][kChunkLen] = {};
    uint64_t begun[kChunkBlocks][kLanes] = {};
    for (unsigned i = 0; i < kLanes; ++i) {
        if (spans[i].nb_chunks < left)
            continue;
        const uint64_t chunk = spans[i].nb_chunks - left;
        const uint64_t nb_absent = chunk == 0 ? spans[i].nb_leading : 0;
        const uint64_t begin = chunk == 0 ? 0 : chunk * kChunkLen - spans[i].nb_leading * kBlockLen;
        const uint64_t room = kChunkLen - nb_absent * kBlockLen;
        const uint64_t len = lanes[i].len - begin < room ? lanes[i].len - begin : room;
        __builtin_memcpy(bytes[i] + nb_absent * kBlockLen, lanes[i].data + begin, len);
        for (uint64_t b = nb_absent; b < kChunkBlocks; ++b)
            begun[b][i] = 1ULL << 24;
    }
    Vector m[4] = {load(bytes[0]), load(bytes[1]), load(bytes[2]), load(bytes[3])};
    const Vector hibit[kChunkBlocks] = {load(begun[0]), load(begun[1])};
    absorb_chunk(h, m, hibit, by);
}

// The chunks in the middle, which all messages have.
MG_INLINE void absorb_whole(Number& h, const PolyLane* lanes, const Span* spans, uint64_t left,
                            const Multiplier& by) noexcept {
    const uint8_t* next[kLanes];
    for (unsigned i = 0; i < kLanes; ++i)
        next[i] = lanes[i].data + (spans[i].nb_chunks - left) * kChunkLen -
                  spans[i].nb_leading * kBlockLen;
    const Vector hibit[kChunkBlocks] = {bit_128(), bit_128()};
    for (; left > 1; --left) {
        Vector m[4];
#pragma GCC unroll 4
        for (unsigned i = 0; i < kLanes; ++i) {
            m[i] = load(next[i]);
            next[i] += kChunkLen;
        }
        absorb_chunk(h, m, hibit, by);
    }
}

// Limbs of exactly 26 bits; returns what is left over above them.
MG_INLINE Vector carry_through(Vector (&limbs)[5], Vector over) noexcept {
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
        limbs[i] = _mm256_add_epi64(limbs[i], over);
        over = _mm256_srli_epi64(limbs[i], 26);
        limbs[i] = _mm256_and_si256(limbs[i], mask26());
    }
    return over;
}

MG_INLINE void store(uint64_t* to, Vector x) noexcept {
    _mm256_storeu_si256(static_cast<Vector*>(static_cast<void*>(to)), x);
}

// (h mod 2^130 - 5) + s mod 2^128
MG_INLINE void finish(PolyGroup& group, Number h, Vector s_low, Vector s_high) noexcept {
    const Vector zero = _mm256_setzero_si256();
    Vector over = carry_through(h.limbs, zero);
    over = carry_through(h.limbs, _mm256_add_epi64(over, _mm256_slli_epi64(over, 2)));
    // g = h + 5 - 2^130; taken where that is not negative.
    Number g = h;
    const Vector reduced = _mm256_sub_epi64(zero, carry_through(g.limbs, _mm256_set1_epi64x(5)));
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i)
        h.limbs[i] = _mm256_blendv_epi8(h.limbs[i], g.limbs[i], reduced);

    const Vector h_low =
        _mm256_or_si256(_mm256_or_si256(h.limbs[0], _mm256_slli_epi64(h.limbs[1], 26)),
                        _mm256_slli_epi64(h.limbs[2], 52));
    const Vector h_high = _mm256_or_si256(
        _mm256_or_si256(_mm256_srli_epi64(h.limbs[2], 12), _mm256_slli_epi64(h.limbs[3], 14)),
        _mm256_slli_epi64(h.limbs[4], 40));
    const Vector low = _mm256_add_epi64(h_low, s_low);
    // Bit 63 carries where both have it, or one of them and the sum not.
    const Vector carried =
        _mm256_srli_epi64(_mm256_or_si256(_mm256_and_si256(h_low, s_low),
                                          _mm256_andnot_si256(low, _mm256_or_si256(h_low, s_low))),
                          63);
    store(group.tag_low, low);
    store(group.tag_high, _mm256_add_epi64(_mm256_add_epi64(h_high, s_high), carried));
}

}  // namespace

void poly_avx2(PolyGroup& group) noexcept {
    const PolyLane* lanes = group.lanes;
    Vector key[4] = {load(lanes[0].one_time_key), load(lanes[1].one_time_key),
                     load(lanes[2].one_time_key), load(lanes[3].one_time_key)};
    transpose_quads(key);
    Multiplier by;
    const Number r = split(_mm256_and_si256(key[0], _mm256_set1_epi64x(0x0ffffffc0fffffff)),
                           _mm256_and_si256(key[1], _mm256_set1_epi64x(0x0ffffffc0ffffffc)));
    for (int i = 0; i < 5; ++i) {
        by.r[i] = r.limbs[i];
        by.r_times_5[i] = _mm256_add_epi64(r.limbs[i], _mm256_slli_epi64(r.limbs[i], 2));
    }
    Span spans[kLanes];
    uint64_t longest = 0, shortest = ~0ULL;
    for (unsigned i = 0; i < kLanes; ++i) {
        spans[i] = span_of(lanes[i].len);
        longest = spans[i].nb_chunks > longest ? spans[i].nb_chunks : longest;
        shortest = spans[i].nb_chunks < shortest ? spans[i].nb_chunks : shortest;
    }
    const Vector zero = _mm256_setzero_si256();
    Number h{{zero, zero, zero, zero, zero}};
    uint64_t left = longest;
    for (; left > 1 && left >= shortest; --left)
        absorb_edge(h, lanes, spans, left, by);
    if (left > 1)
        absorb_whole(h, lanes, spans, left, by);
    if (longest > 0)
        absorb_edge(h, lanes, spans, 1, by);
    Number length_block = split(zero, _mm256_setr_epi64x(static_cast<long long>(lanes[0].len),
                                                         static_cast<long long>(lanes[1].len),
                                                         static_cast<long long>(lanes[2].len),
                                                         static_cast<long long>(lanes[3].len)));
    length_block.limbs[4] = _mm256_or_si256(length_block.limbs[4], bit_128());
    absorb(h, length_block, by);

    finish(group, h, key[2], key[3]);
}

}  // namespace meshgate
