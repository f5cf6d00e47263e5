// SPDX-License-Identifier: Apache-2.0
// Eight blocks of ChaCha20 (RFC 8439, 2.3) in the lanes of 256-bit registers: register w holds word
// w of each. Sixteen registers are too few to work in, so parts of the state pass over the stack.
// Includes no header with inline functions but the intrinsics': see lanes.h.
#include <immintrin.h>

#include "dataplane/crypto/lanes.h"

#define MG_INLINE [[gnu::always_inline]] static inline

namespace meshgate {

namespace {

using Vector = __m256i;

template <int kBits>
MG_INLINE Vector rotate(Vector x) noexcept {
    if constexpr (kBits == 16)
        return _mm256_shuffle_epi8(
            x, _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1, 6,
                                7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    if constexpr (kBits == 8)
        return _mm256_shuffle_epi8(
            x, _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0, 1, 2, 7,
                                4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
    return _mm256_or_si256(_mm256_slli_epi32(x, kBits), _mm256_srli_epi32(x, 32 - kBits));
}

MG_INLINE void quarter_round(Vector& a, Vector& b, Vector& c, Vector& d) noexcept {
    a = _mm256_add_epi32(a, b);
    d = rotate<16>(_mm256_xor_si256(d, a));
    c = _mm256_add_epi32(c, d);
    b = rotate<12>(_mm256_xor_si256(b, c));
    a = _mm256_add_epi32(a, b);
    d = rotate<8>(_mm256_xor_si256(d, a));
    c = _mm256_add_epi32(c, d);
    b = rotate<7>(_mm256_xor_si256(b, c));
}

MG_INLINE void double_round(Vector (&v)[16]) noexcept {
    quarter_round(v[0], v[4], v[8], v[12]);
    quarter_round(v[1], v[5], v[9], v[13]);
    quarter_round(v[2], v[6], v[10], v[14]);
    quarter_round(v[3], v[7], v[11], v[15]);
    quarter_round(v[0], v[5], v[10], v[15]);
    quarter_round(v[1], v[6], v[11], v[12]);
    quarter_round(v[2], v[7], v[8], v[13]);
    quarter_round(v[3], v[4], v[9], v[14]);
}

// Transposes the 4 x 4 words that four registers hold in each of their 128-bit parts.
MG_INLINE void transpose_words(Vector& a, Vector& b, Vector& c, Vector& d) noexcept {
    const Vector ab_low = _mm256_unpacklo_epi32(a, b);
    const Vector ab_high = _mm256_unpackhi_epi32(a, b);
    const Vector cd_low = _mm256_unpacklo_epi32(c, d);
    const Vector cd_high = _mm256_unpackhi_epi32(c, d);
    a = _mm256_unpacklo_epi64(ab_low, cd_low);
    b = _mm256_unpackhi_epi64(ab_low, cd_low);
    c = _mm256_unpacklo_epi64(ab_high, cd_high);
    d = _mm256_unpackhi_epi64(ab_high, cd_high);
}

// 16 bytes of each of the lanes p and 4 + p.
MG_INLINE Vector load_parts(const void* p0, const void* p4) noexcept {
    return _mm256_loadu2_m128i(static_cast<const __m128i*>(p4), static_cast<const __m128i*>(p0));
}

MG_INLINE void load_lanes(Vector (&v)[16], const ChachaLane* lanes) noexcept {
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) {
        v[4 + p] = load_parts(lanes[p].key, lanes[4 + p].key);
        v[8 + p] = load_parts(lanes[p].key + 16, lanes[4 + p].key + 16);
        v[12 + p] = load_parts(&lanes[p].counter, &lanes[4 + p].counter);
    }
    transpose_words(v[4], v[5], v[6], v[7]);
    transpose_words(v[8], v[9], v[10], v[11]);
    transpose_words(v[12], v[13], v[14], v[15]);
}

// Word i of the 16 bytes in each part, in all lanes of the part.
MG_INLINE void spread_words(Vector* v, Vector parts) noexcept {
    v[0] = _mm256_shuffle_epi32(parts, 0x00);
    v[1] = _mm256_shuffle_epi32(parts, 0x55);
    v[2] = _mm256_shuffle_epi32(parts, 0xaa);
    v[3] = _mm256_shuffle_epi32(parts, 0xff);
}

MG_INLINE void load_quads(Vector (&v)[16], const ChachaQuad* q) noexcept {
    spread_words(v + 4, load_parts(q[0].key, q[1].key));
    spread_words(v + 8, load_parts(q[0].key + 16, q[1].key + 16));
    spread_words(v + 12, load_parts(&q[0].counter, &q[1].counter));
    v[12] = _mm256_add_epi32(v[12], _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3));
}

MG_INLINE Vector constant(int w) noexcept {
    constexpr int kConstants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    return _mm256_set1_epi32(kConstants[w]);
}

// A block's halves.
struct Row {
    Vector low, high;
};

MG_INLINE void store(uint8_t* to, Vector x) noexcept {
    _mm256_storeu_si256(static_cast<Vector*>(static_cast<void*>(to)), x);
}

MG_INLINE void xor_whole(uint8_t* data, const Row& row) noexcept {
    const auto* from = static_cast<const Vector*>(static_cast<const void*>(data));
    const Vector low = _mm256_xor_si256(_mm256_loadu_si256(from), row.low);
    const Vector high = _mm256_xor_si256(_mm256_loadu_si256(from + 1), row.high);
    store(data, low);
    store(data + 32, high);
}

// `scratch` holds the rest of a row whose block is not whole.
MG_INLINE void xor_block(const ChachaLane& lane, const Row& row, uint8_t* scratch) noexcept {
    if (lane.len == kChachaBlockLen) [[likely]] {
        xor_whole(lane.data, row);
        return;
    }
    store(scratch, row.low);
    store(scratch + 32, row.high);
    for (uint64_t i = 0; i < lane.len; ++i)
        lane.data[i] = static_cast<uint8_t>(lane.data[i] ^ scratch[i]);
}

}  // namespace

void chacha_avx2(ChachaPass& pass) noexcept {
    Vector v[16];
    if (pass.kind == ChachaPass::quads)
        load_quads(v, pass.quad);
    else
        load_lanes(v, pass.lanes);
    auto* initial = static_cast<Vector*>(static_cast<void*>(pass.initial_state));
#pragma GCC unroll 12
    for (int w = 0; w < 12; ++w)
        _mm256_store_si256(initial + w, v[4 + w]);
#pragma GCC unroll 4
    for (int w = 0; w < 4; ++w)
        v[w] = constant(w);
    for (int round = 0; round < 20; round += 2)
        double_round(v);
#pragma GCC unroll 16
    for (int w = 0; w < 16; ++w)
        v[w] = _mm256_add_epi32(v[w], w < 4 ? constant(w) : _mm256_load_si256(initial + w - 4));
#pragma GCC unroll 4
    for (int w = 0; w < 16; w += 4)
        transpose_words(v[w], v[w + 1], v[w + 2], v[w + 3]);
    // Now part q of register 4 g + p is bytes 16 g to 16 g + 15 of lane 4 q + p.
    Row rows[8];
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) {
        rows[p] = {_mm256_permute2x128_si256(v[p], v[4 + p], 0x20),
                   _mm256_permute2x128_si256(v[8 + p], v[12 + p], 0x20)};
        rows[4 + p] = {_mm256_permute2x128_si256(v[p], v[4 + p], 0x31),
                       _mm256_permute2x128_si256(v[8 + p], v[12 + p], 0x31)};
    }
    switch (pass.kind) {
        case ChachaPass::quads:
#pragma GCC unroll 8
            for (int i = 0; i < 8; ++i)
                xor_whole(pass.quad[i / 4].data + (i % 4) * kChachaBlockLen, rows[i]);
            break;
        case ChachaPass::blocks:
#pragma GCC unroll 8
            for (int i = 0; i < 8; ++i)
                xor_block(pass.lanes[i], rows[i],
                          static_cast<uint8_t*>(static_cast<void*>(initial)));
            break;
        case ChachaPass::keystream:
#pragma GCC unroll 8
            for (int i = 0; i < 8; ++i) {
                store(pass.keystream_to[i], rows[i].low);
                store(pass.keystream_to[i] + 32, rows[i].high);
            }
            break;
    }
}

void wipe_avx2_registers() noexcept {
    asm volatile("vzeroall" ::
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

}  // namespace meshgate
