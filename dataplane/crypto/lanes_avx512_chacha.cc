// SPDX-License-Identifier: Apache-2.0
// Sixteen blocks of ChaCha20 (RFC 8439, 2.3) in the lanes of 512-bit registers: register w holds
// word w of each. No call, and no register spilled: what is left behind is in registers and in the
// pass. Includes no header with inline functions but the intrinsics': see lanes.h.
#include "dataplane/crypto/lanes.h"
#include "dataplane/crypto/lanes_avx512.h"

namespace meshgate {

namespace {

// Step `s` of the twelve of a quarter round (RFC 8439, 2.1).
template <int s>
MG_INLINE void step(Vector& a, Vector& b, Vector& c, Vector& d) noexcept {
    if constexpr (s == 0 || s == 6)
        a = _mm512_add_epi32(a, b);
    if constexpr (s == 1 || s == 7)
        d = _mm512_xor_si512(d, a);
    if constexpr (s == 2)
        d = _mm512_rol_epi32(d, 16);
    if constexpr (s == 3 || s == 9)
        c = _mm512_add_epi32(c, d);
    if constexpr (s == 4 || s == 10)
        b = _mm512_xor_si512(b, c);
    if constexpr (s == 5)
        b = _mm512_rol_epi32(b, 12);
    if constexpr (s == 8)
        d = _mm512_rol_epi32(d, 8);
    if constexpr (s == 11)
        b = _mm512_rol_epi32(b, 7);
}

// Four quarter rounds, each one step behind the one before: the rotations, which one port does
// alone, then spread best over time. Of 320 orders measured this was the fastest, by 5 % of the
// median.
template <int t = 0>
MG_INLINE void four_quarter_rounds(Vector (&v)[16], const int (&b)[4], const int (&c)[4],
                                   const int (&d)[4]) noexcept {
    step<t>(v[0], v[b[0]], v[c[0]], v[d[0]]);
    step<t - 1>(v[1], v[b[1]], v[c[1]], v[d[1]]);
    step<t - 2>(v[2], v[b[2]], v[c[2]], v[d[2]]);
    step<t - 3>(v[3], v[b[3]], v[c[3]], v[d[3]]);
    if constexpr (t < 11 + 3)
        four_quarter_rounds<t + 1>(v, b, c, d);
}

MG_INLINE void double_round(Vector (&v)[16]) noexcept {
    four_quarter_rounds(v, {4, 5, 6, 7}, {8, 9, 10, 11}, {12, 13, 14, 15});
    four_quarter_rounds(v, {5, 6, 7, 4}, {10, 11, 8, 9}, {15, 12, 13, 14});
}

// Transposes the 4 x 4 words that four registers hold in each of their 128-bit parts.
MG_INLINE void transpose_words(Vector& a, Vector& b, Vector& c, Vector& d) noexcept {
    const Vector ab_low = _mm512_unpacklo_epi32(a, b);
    const Vector ab_high = _mm512_unpackhi_epi32(a, b);
    const Vector cd_low = _mm512_unpacklo_epi32(c, d);
    const Vector cd_high = _mm512_unpackhi_epi32(c, d);
    a = _mm512_unpacklo_epi64(ab_low, cd_low);
    b = _mm512_unpackhi_epi64(ab_low, cd_low);
    c = _mm512_unpacklo_epi64(ab_high, cd_high);
    d = _mm512_unpackhi_epi64(ab_high, cd_high);
}

MG_INLINE __m128i load_16(const void* bytes) noexcept {
    return _mm_loadu_si128(static_cast<const __m128i*>(bytes));
}

// 16 bytes of each of the lanes p, 4 + p, 8 + p, 12 + p.
MG_INLINE Vector load_parts(const void* p0, const void* p4, const void* p8,
                            const void* p12) noexcept {
    Vector parts = _mm512_castsi128_si512(load_16(p0));
    parts = _mm512_inserti32x4(parts, load_16(p4), 1);
    parts = _mm512_inserti32x4(parts, load_16(p8), 2);
    return _mm512_inserti32x4(parts, load_16(p12), 3);
}

MG_INLINE void load_constants(Vector (&v)[16]) noexcept {
    v[0] = _mm512_set1_epi32(0x61707865);
    v[1] = _mm512_set1_epi32(0x3320646e);
    v[2] = _mm512_set1_epi32(0x79622d32);
    v[3] = _mm512_set1_epi32(0x6b206574);
}

// A block in each lane.
MG_INLINE void load_lanes(Vector (&v)[16], const ChachaLane* lanes) noexcept {
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) {
        const ChachaLane &l0 = lanes[p], &l4 = lanes[4 + p], &l8 = lanes[8 + p],
                         &l12 = lanes[12 + p];
        v[4 + p] = load_parts(l0.key, l4.key, l8.key, l12.key);
        v[8 + p] = load_parts(l0.key + 16, l4.key + 16, l8.key + 16, l12.key + 16);
        v[12 + p] = load_parts(&l0.counter, &l4.counter, &l8.counter, &l12.counter);
    }
    transpose_words(v[4], v[5], v[6], v[7]);
    transpose_words(v[8], v[9], v[10], v[11]);
    transpose_words(v[12], v[13], v[14], v[15]);
}

// Word i of the 16 bytes in each part, in all lanes of the part.
MG_INLINE void spread_words(Vector* v, Vector parts) noexcept {
    v[0] = _mm512_shuffle_epi32(parts, _MM_PERM_AAAA);
    v[1] = _mm512_shuffle_epi32(parts, _MM_PERM_BBBB);
    v[2] = _mm512_shuffle_epi32(parts, _MM_PERM_CCCC);
    v[3] = _mm512_shuffle_epi32(parts, _MM_PERM_DDDD);
}

// Four blocks of one text in each part.
MG_INLINE void load_quads(Vector (&v)[16], const ChachaQuad* q) noexcept {
    spread_words(v + 4, load_parts(q[0].key, q[1].key, q[2].key, q[3].key));
    spread_words(v + 8, load_parts(q[0].key + 16, q[1].key + 16, q[2].key + 16, q[3].key + 16));
    spread_words(v + 12, load_parts(&q[0].counter, &q[1].counter, &q[2].counter, &q[3].counter));
    v[12] =
        _mm512_add_epi32(v[12], _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3));
}

MG_INLINE void xor_whole(uint8_t* data, Vector keystream) noexcept {
    _mm512_storeu_si512(data, _mm512_xor_si512(_mm512_loadu_si512(data), keystream));
}

MG_INLINE void xor_block(const ChachaLane& lane, Vector keystream) noexcept {
    if (lane.len == kChachaBlockLen) [[likely]] {
        xor_whole(lane.data, keystream);
        return;
    }
    const __mmask64 mask = _bzhi_u64(~0ULL, static_cast<uint32_t>(lane.len));
    const Vector text = _mm512_maskz_loadu_epi8(mask, lane.data);
    _mm512_mask_storeu_epi8(lane.data, mask, _mm512_xor_si512(text, keystream));
}

}  // namespace

void chacha_avx512(ChachaPass& pass) noexcept {
    Vector v[16];
    if (pass.kind == ChachaPass::quads)
        load_quads(v, pass.quad);
    else
        load_lanes(v, pass.lanes);
#pragma GCC unroll 12
    for (int w = 0; w < 12; ++w)
        _mm512_store_si512(pass.initial_state[w], v[4 + w]);
    load_constants(v);
#pragma GCC unroll 10
    for (int round = 0; round < 20; round += 2)
        double_round(v);
    Vector constants[16];
    load_constants(constants);
#pragma GCC unroll 16
    for (int w = 0; w < 16; ++w)
        v[w] = _mm512_add_epi32(
            v[w], w < 4 ? constants[w] : _mm512_load_si512(pass.initial_state[w - 4]));
#pragma GCC unroll 4
    for (int w = 0; w < 16; w += 4)
        transpose_words(v[w], v[w + 1], v[w + 2], v[w + 3]);
        // Now part q of register 4 g + p is bytes 16 g to 16 g + 15 of lane 4 q + p.
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p)
        transpose_parts(v[p], v[4 + p], v[8 + p], v[12 + p]);
    // Now register 4 q + p is lane 4 q + p.
    switch (pass.kind) {
        case ChachaPass::quads:
#pragma GCC unroll 16
            for (int i = 0; i < 16; ++i)
                xor_whole(pass.quad[i / 4].data + (i % 4) * kChachaBlockLen, v[i]);
            break;
        case ChachaPass::blocks:
#pragma GCC unroll 16
            for (int i = 0; i < 16; ++i)
                xor_block(pass.lanes[i], v[i]);
            break;
        case ChachaPass::keystream:
#pragma GCC unroll 16
            for (int i = 0; i < 16; ++i)
                _mm512_storeu_si512(pass.keystream_to[i], v[i]);
            break;
    }
}

void wipe_avx512_registers() noexcept {
    // vzeroall clears 0 to 15, whole.
    asm volatile(
        "vzeroall\n"
        "vpxord %%zmm16, %%zmm16, %%zmm16\n"
        "vpxord %%zmm17, %%zmm17, %%zmm17\n"
        "vpxord %%zmm18, %%zmm18, %%zmm18\n"
        "vpxord %%zmm19, %%zmm19, %%zmm19\n"
        "vpxord %%zmm20, %%zmm20, %%zmm20\n"
        "vpxord %%zmm21, %%zmm21, %%zmm21\n"
        "vpxord %%zmm22, %%zmm22, %%zmm22\n"
        "vpxord %%zmm23, %%zmm23, %%zmm23\n"
        "vpxord %%zmm24, %%zmm24, %%zmm24\n"
        "vpxord %%zmm25, %%zmm25, %%zmm25\n"
        "vpxord %%zmm26, %%zmm26, %%zmm26\n"
        "vpxord %%zmm27, %%zmm27, %%zmm27\n"
        "vpxord %%zmm28, %%zmm28, %%zmm28\n"
        "vpxord %%zmm29, %%zmm29, %%zmm29\n"
        "vpxord %%zmm30, %%zmm30, %%zmm30\n"
        "vpxord %%zmm31, %%zmm31, %%zmm31\n" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
              "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",
              "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
              "xmm28", "xmm29", "xmm30", "xmm31");
}

}  // namespace meshgate
