// SPDX-License-Identifier: Apache-2.0
// Poly1305 (RFC 8439, 2.5) of eight messages beside each other, a number in three limbs of 44, 44
// and 42 bits (IFMA multiplies 52). Includes no header with inline functions but the intrinsics':
// see lanes.h.
#include "dataplane/crypto/lanes.h"
#include "dataplane/crypto/lanes_avx512.h"

namespace meshgate {

namespace {

constexpr uint32_t kBlockLen = 16;
constexpr uint32_t kChunkLen = 64;  // what is loaded and transposed together
constexpr uint32_t kChunkBlocks = kChunkLen / kBlockLen;
constexpr unsigned kHalf = 8;  // messages
// From so many chunks on the second to fourth power of r save more than they cost.
constexpr uint32_t kPowersFrom = 3;

struct Number {
    Vector limb0, limb1, limb2;
};

// A power of r with what the reduction modulo 2^130 - 5 wants: 2^132 = 20.
struct Power {
    Vector r0, r1, r2, r1_times_20, r2_times_20;
};

// Products in two halves: the low 52 bits, and the rest, which weighs 2^8 of the next limb.
struct Product {
    Vector low0, low1, low2, high0, high1, high2;
};

MG_INLINE Vector mask44() noexcept {
    return _mm512_set1_epi64((1LL << 44) - 1);
}

MG_INLINE Number split(Vector low, Vector high) noexcept {
    return {_mm512_and_si512(low, mask44()),
            _mm512_and_si512(_mm512_shrdi_epi64(low, high, 44), mask44()),
            _mm512_srli_epi64(high, 24)};
}

MG_INLINE Number add(const Number& a, const Number& b) noexcept {
    return {_mm512_add_epi64(a.limb0, b.limb0), _mm512_add_epi64(a.limb1, b.limb1),
            _mm512_add_epi64(a.limb2, b.limb2)};
}

MG_INLINE Power power_of(const Number& r) noexcept {
    const auto times_20 = [](Vector x) {
        return _mm512_slli_epi64(_mm512_add_epi64(x, _mm512_slli_epi64(x, 2)), 2);
    };
    return {r.limb0, r.limb1, r.limb2, times_20(r.limb1), times_20(r.limb2)};
}

MG_INLINE Number zero() noexcept {
    return {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
}

MG_INLINE Product nothing() noexcept {
    const Vector zero = _mm512_setzero_si512();
    return {zero, zero, zero, zero, zero, zero};
}

// sum += a * power
MG_INLINE void multiply_add(Product& sum, const Number& a, const Power& power) noexcept {
    sum.low0 = _mm512_madd52lo_epu64(sum.low0, a.limb0, power.r0);
    sum.low1 = _mm512_madd52lo_epu64(sum.low1, a.limb0, power.r1);
    sum.low2 = _mm512_madd52lo_epu64(sum.low2, a.limb0, power.r2);
    sum.high0 = _mm512_madd52hi_epu64(sum.high0, a.limb0, power.r0);
    sum.high1 = _mm512_madd52hi_epu64(sum.high1, a.limb0, power.r1);
    sum.high2 = _mm512_madd52hi_epu64(sum.high2, a.limb0, power.r2);
    sum.low0 = _mm512_madd52lo_epu64(sum.low0, a.limb1, power.r2_times_20);
    sum.low1 = _mm512_madd52lo_epu64(sum.low1, a.limb1, power.r0);
    sum.low2 = _mm512_madd52lo_epu64(sum.low2, a.limb1, power.r1);
    sum.high0 = _mm512_madd52hi_epu64(sum.high0, a.limb1, power.r2_times_20);
    sum.high1 = _mm512_madd52hi_epu64(sum.high1, a.limb1, power.r0);
    sum.high2 = _mm512_madd52hi_epu64(sum.high2, a.limb1, power.r1);
    sum.low0 = _mm512_madd52lo_epu64(sum.low0, a.limb2, power.r1_times_20);
    sum.low1 = _mm512_madd52lo_epu64(sum.low1, a.limb2, power.r2_times_20);
    sum.low2 = _mm512_madd52lo_epu64(sum.low2, a.limb2, power.r0);
    sum.high0 = _mm512_madd52hi_epu64(sum.high0, a.limb2, power.r1_times_20);
    sum.high1 = _mm512_madd52hi_epu64(sum.high1, a.limb2, power.r2_times_20);
    sum.high2 = _mm512_madd52hi_epu64(sum.high2, a.limb2, power.r0);
}

// Limbs of at most 44 (the middle one: a little more) and 42 bits again. The sum of four products
// of limbs below 2^46 and 2^49 stays below 2^58 in each half.
MG_INLINE Number carry(const Product& sum) noexcept {
    const Vector mask42 = _mm512_set1_epi64((1LL << 42) - 1);
    Number h;
    h.limb0 = _mm512_and_si512(sum.low0, mask44());
    const Vector d1 = _mm512_add_epi64(_mm512_add_epi64(sum.low1, _mm512_slli_epi64(sum.high0, 8)),
                                       _mm512_srli_epi64(sum.low0, 44));
    h.limb1 = _mm512_and_si512(d1, mask44());
    const Vector d2 = _mm512_add_epi64(_mm512_add_epi64(sum.low2, _mm512_slli_epi64(sum.high1, 8)),
                                       _mm512_srli_epi64(d1, 44));
    h.limb2 = _mm512_and_si512(d2, mask42);
    const Vector over =
        _mm512_add_epi64(_mm512_slli_epi64(sum.high2, 10), _mm512_srli_epi64(d2, 42));
    const Vector d0 = _mm512_add_epi64(_mm512_add_epi64(h.limb0, over), _mm512_slli_epi64(over, 2));
    h.limb0 = _mm512_and_si512(d0, mask44());
    h.limb1 = _mm512_add_epi64(h.limb1, _mm512_srli_epi64(d0, 44));
    return h;
}

MG_INLINE Number multiply(const Number& a, const Power& power) noexcept {
    Product product = nothing();
    multiply_add(product, a, power);
    return carry(product);
}

// Transposes 8 x 8 words of 64 bits.
MG_INLINE void transpose_quads(Vector (&m)[8]) noexcept {
    Vector even[4], odd[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        even[i] = _mm512_unpacklo_epi64(m[2 * i], m[2 * i + 1]);  // words 0 2 4 6
        odd[i] = _mm512_unpackhi_epi64(m[2 * i], m[2 * i + 1]);   // words 1 3 5 7
    }
    transpose_parts(even[0], even[1], even[2], even[3]);
    transpose_parts(odd[0], odd[1], odd[2], odd[3]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        m[2 * i] = even[i];
        m[2 * i + 1] = odd[i];
    }
}

// Number `b` of a transposed chunk; `hibit` is its bit 128, 0 in messages that have not begun.
MG_INLINE Number block_of(const Vector (&m)[8], uint32_t b, Vector hibit) noexcept {
    Number block = split(m[2 * b], m[2 * b + 1]);
    block.limb2 = _mm512_or_si512(block.limb2, hibit);
    return block;
}

MG_INLINE Vector bit_128() noexcept {
    return _mm512_set1_epi64(1LL << 40);
}

// All messages end with the last chunk. A shorter one begins later, and where its blocks are no
// multiple of four, inside a chunk: zeros in front of a polynomial change nothing.
struct Span {
    uint32_t nb_chunks;
    uint32_t nb_leading;  // blocks of the first chunk before the message begins
};

MG_INLINE Span span_of(uint64_t len) noexcept {
    const auto nb_blocks = static_cast<uint32_t>((len + kBlockLen - 1) / kBlockLen);
    const uint32_t nb_chunks = (nb_blocks + kChunkBlocks - 1) / kChunkBlocks;
    return {nb_chunks, nb_chunks * kChunkBlocks - nb_blocks};
}

// The messages of one half.
struct Half {
    const PolyLane* lanes;
    Span spans[kHalf];
    uint32_t longest;  // chunks
    bool same;         // all lengths
};

MG_INLINE void measure(Half& half, const PolyLane* lanes) noexcept {
    half.lanes = lanes;
    half.longest = 0;
    uint64_t differences = 0;
#pragma GCC unroll 8
    for (unsigned i = 0; i < kHalf; ++i) {
        const Span span = span_of(lanes[i].len);
        half.longest = span.nb_chunks > half.longest ? span.nb_chunks : half.longest;
        half.spans[i] = span;
        differences |= lanes[i].len ^ lanes[0].len;
    }
    half.same = differences == 0;
}

// What a message has of a chunk when `left` chunks are still to come, that one among them.
struct Edge {
    uint64_t mask;    // of its bytes
    uint64_t offset;  // of its first byte, masked or not: before the message's own where it begins
    uint32_t nb_absent;
};

MG_INLINE Edge edge_of(uint64_t len, const Span& span, uint32_t left) noexcept {
    if (span.nb_chunks < left)
        return {0, 0, kChunkBlocks};
    const uint32_t chunk = span.nb_chunks - left;
    Edge edge;
    edge.nb_absent = chunk == 0 ? span.nb_leading : 0;
    edge.offset = uint64_t{chunk} * kChunkLen - uint64_t{span.nb_leading} * kBlockLen;
    edge.mask = ~0ULL << (kBlockLen * edge.nb_absent);
    if (left == 1)
        edge.mask &= _bzhi_u64(~0ULL, static_cast<uint32_t>(len - edge.offset));
    return edge;
}

MG_INLINE Vector load_masked(const uint8_t* data, const Edge& edge) noexcept {
    const auto address = reinterpret_cast<uintptr_t>(data) + edge.offset;
    return _mm512_maskz_loadu_epi8(edge.mask, reinterpret_cast<const void*>(address));
}

// A chunk in which messages may begin or end, or not be there yet, transposed.
MG_INLINE void load_edge(Vector (&m)[8], Vector (&hibit)[kChunkBlocks], const Half& half,
                         uint32_t left) noexcept {
    if (half.same) {
        const Edge edge = edge_of(half.lanes[0].len, half.spans[0], left);
#pragma GCC unroll 8
        for (unsigned i = 0; i < kHalf; ++i)
            m[i] = load_masked(half.lanes[i].data, edge);
#pragma GCC unroll 4
        for (uint32_t b = 0; b < kChunkBlocks; ++b)
            hibit[b] = b >= edge.nb_absent ? bit_128() : _mm512_setzero_si512();
        transpose_quads(m);
        return;
    }
    uint32_t begun[kChunkBlocks] = {0, 0, 0, 0};
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kHalf; ++i) {
        const Edge edge = edge_of(half.lanes[i].len, half.spans[i], left);
        m[i] = load_masked(half.lanes[i].data, edge);
#pragma GCC unroll 4
        for (uint32_t b = 0; b < kChunkBlocks; ++b)
            begun[b] |= (b >= edge.nb_absent ? 1U : 0U) << i;
    }
#pragma GCC unroll 4
    for (uint32_t b = 0; b < kChunkBlocks; ++b)
        hibit[b] = _mm512_maskz_mov_epi64(static_cast<__mmask8>(begun[b]), bit_128());
    transpose_quads(m);
}

// The numbers of a chunk are multiplied by the powers 4 to 1 of r and share one carry.
MG_INLINE void absorb_edge_with_powers(Number& h, const Half& half, uint32_t left,
                                       const Power* powers) noexcept {
    Vector m[8], hibit[kChunkBlocks];
    load_edge(m, hibit, half, left);
    Product sum = nothing();
    multiply_add(sum, block_of(m, 3, hibit[3]), powers[0]);
    multiply_add(sum, block_of(m, 2, hibit[2]), powers[1]);
    multiply_add(sum, block_of(m, 1, hibit[1]), powers[2]);
    multiply_add(sum, add(h, block_of(m, 0, hibit[0])), powers[3]);
    h = carry(sum);
}

// What eight messages have of chunks that each has either whole or not at all.
struct Run {
    const uint8_t* next[kHalf];
    uint64_t step[kHalf];
    Vector hibit;
};

MG_INLINE void load_whole(Vector (&m)[8], Run& run) noexcept {
#pragma GCC unroll 8
    for (unsigned i = 0; i < kHalf; ++i) {
        m[i] = _mm512_loadu_si512(run.next[i]);
        run.next[i] += run.step[i];
    }
    transpose_quads(m);
}

// The chunks until the next in which a message begins or ends, `left` being none such; each is
// loaded while the one before is multiplied. Messages that have not begun read zeros. Returns what
// is left.
MG_INLINE uint32_t absorb_run(Number& h, const Half& half, uint32_t left,
                              const Power* powers) noexcept {
    alignas(64) static const uint8_t kZeros[kChunkLen] = {};
    Run run;
    uint32_t begun = 0;
    uint32_t until = 1;
#pragma GCC unroll 8
    for (unsigned i = 0; i < kHalf; ++i) {
        const Span span = half.spans[i];
        const bool has_begun = span.nb_chunks > left;
        const uint64_t offset =
            uint64_t{span.nb_chunks - left} * kChunkLen - uint64_t{span.nb_leading} * kBlockLen;
        run.next[i] = has_begun ? half.lanes[i].data + offset : kZeros;
        run.step[i] = has_begun ? kChunkLen : 0;
        begun |= (has_begun ? 1U : 0U) << i;
        until = !has_begun && span.nb_chunks > until ? span.nb_chunks : until;
    }
    run.hibit = _mm512_maskz_mov_epi64(static_cast<__mmask8>(begun), bit_128());
    Vector m[8];
    load_whole(m, run);
    for (; left > until; --left) {
        Product sum = nothing();
        multiply_add(sum, block_of(m, 3, run.hibit), powers[0]);
        multiply_add(sum, block_of(m, 2, run.hibit), powers[1]);
        multiply_add(sum, block_of(m, 1, run.hibit), powers[2]);
        const Number first = add(h, block_of(m, 0, run.hibit));
        if (left > until + 1)
            load_whole(m, run);
        multiply_add(sum, first, powers[3]);
        h = carry(sum);
    }
    return left;
}

MG_INLINE bool begins_at(const Half& half, uint32_t left) noexcept {
    bool begins = false;
#pragma GCC unroll 8
    for (unsigned i = 0; i < kHalf; ++i)
        begins |= half.spans[i].nb_chunks == left;
    return begins;
}

// The lower and upper halves of r and s.
MG_INLINE void load_keys(Vector (&quads)[4], const PolyLane* lanes) noexcept {
    Vector m[8];
#pragma GCC unroll 8
    for (unsigned i = 0; i < kHalf; ++i)
        m[i] = _mm512_castsi256_si512(_mm256_loadu_si256(
            static_cast<const __m256i*>(static_cast<const void*>(lanes[i].one_time_key))));
    transpose_quads(m);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
        quads[i] = m[i];
}

MG_INLINE Number clamped_r(const Vector (&key)[4]) noexcept {
    return split(_mm512_and_si512(key[0], _mm512_set1_epi64(0x0ffffffc0fffffff)),
                 _mm512_and_si512(key[1], _mm512_set1_epi64(0x0ffffffc0ffffffc)));
}

MG_INLINE Number length_block(const PolyLane* l) noexcept {
    const Vector lens =
        _mm512_setr_epi64(static_cast<long long>(l[0].len), static_cast<long long>(l[1].len),
                          static_cast<long long>(l[2].len), static_cast<long long>(l[3].len),
                          static_cast<long long>(l[4].len), static_cast<long long>(l[5].len),
                          static_cast<long long>(l[6].len), static_cast<long long>(l[7].len));
    Number block = split(_mm512_setzero_si512(), lens);
    block.limb2 = _mm512_or_si512(block.limb2, bit_128());
    return block;
}

// (h mod 2^130 - 5) + s mod 2^128
MG_INLINE void finish(PolyGroup& group, unsigned first, Number h, Vector s_low,
                      Vector s_high) noexcept {
    const Vector mask42 = _mm512_set1_epi64((1LL << 42) - 1);
    // limb1 may have 45 bits.
    h.limb2 = _mm512_add_epi64(h.limb2, _mm512_srli_epi64(h.limb1, 44));
    h.limb1 = _mm512_and_si512(h.limb1, mask44());
    Vector over = _mm512_srli_epi64(h.limb2, 42);
    h.limb2 = _mm512_and_si512(h.limb2, mask42);
    h.limb0 = _mm512_add_epi64(h.limb0, _mm512_add_epi64(over, _mm512_slli_epi64(over, 2)));
    h.limb1 = _mm512_add_epi64(h.limb1, _mm512_srli_epi64(h.limb0, 44));
    h.limb0 = _mm512_and_si512(h.limb0, mask44());
    h.limb2 = _mm512_add_epi64(h.limb2, _mm512_srli_epi64(h.limb1, 44));
    h.limb1 = _mm512_and_si512(h.limb1, mask44());
    // g = h + 5 - 2^130; taken where h >= 2^130 - 5.
    Number g;
    g.limb0 = _mm512_add_epi64(h.limb0, _mm512_set1_epi64(5));
    g.limb1 = _mm512_add_epi64(h.limb1, _mm512_srli_epi64(g.limb0, 44));
    g.limb0 = _mm512_and_si512(g.limb0, mask44());
    g.limb2 = _mm512_add_epi64(h.limb2, _mm512_srli_epi64(g.limb1, 44));
    g.limb1 = _mm512_and_si512(g.limb1, mask44());
    const Vector reduced = _mm512_sub_epi64(_mm512_setzero_si512(), _mm512_srli_epi64(g.limb2, 42));
    constexpr int kFirstWhereThird = 0xe4;  // of the truth table: third ? first : second
    h.limb0 = _mm512_ternarylogic_epi64(g.limb0, h.limb0, reduced, kFirstWhereThird);
    h.limb1 = _mm512_ternarylogic_epi64(g.limb1, h.limb1, reduced, kFirstWhereThird);
    h.limb2 = _mm512_ternarylogic_epi64(g.limb2, h.limb2, reduced, kFirstWhereThird);

    const Vector h_low = _mm512_or_si512(h.limb0, _mm512_slli_epi64(h.limb1, 44));
    const Vector h_high =
        _mm512_or_si512(_mm512_srli_epi64(h.limb1, 20), _mm512_slli_epi64(h.limb2, 24));
    const Vector low = _mm512_add_epi64(h_low, s_low);
    // Bit 63 carries where both have it, or one of them and the sum not.
    const Vector carried =
        _mm512_srli_epi64(_mm512_or_si512(_mm512_and_si512(h_low, s_low),
                                          _mm512_andnot_si512(low, _mm512_or_si512(h_low, s_low))),
                          63);
    const Vector high = _mm512_add_epi64(_mm512_add_epi64(h_high, s_high), carried);
    _mm512_store_si512(group.tag_low + first, low);
    _mm512_store_si512(group.tag_high + first, high);
}

// Messages of a few chunks: nothing but r, the halves side by side to hide each other's latency.
template <unsigned kNbHalves>
[[gnu::noinline]] void authenticate_short(PolyGroup& group, unsigned first,
                                          const Half* halves) noexcept {
    Vector key[kNbHalves][4];
    Number h[kNbHalves];
    Power r[kNbHalves];
    uint32_t left = 0;
#pragma GCC unroll 2
    for (unsigned i = 0; i < kNbHalves; ++i) {
        load_keys(key[i], halves[i].lanes);
        r[i] = power_of(clamped_r(key[i]));
        h[i] = zero();
        left = halves[i].longest > left ? halves[i].longest : left;
    }
    for (; left > 0; --left) {
        Vector m[kNbHalves][8], hibit[kNbHalves][kChunkBlocks];
#pragma GCC unroll 2
        for (unsigned i = 0; i < kNbHalves; ++i)
            load_edge(m[i], hibit[i], halves[i], left);
#pragma GCC unroll 4
        for (uint32_t b = 0; b < kChunkBlocks; ++b) {
#pragma GCC unroll 2
            for (unsigned i = 0; i < kNbHalves; ++i)
                h[i] = multiply(add(h[i], block_of(m[i], b, hibit[i][b])), r[i]);
        }
    }
#pragma GCC unroll 2
    for (unsigned i = 0; i < kNbHalves; ++i)
        h[i] = multiply(add(h[i], length_block(halves[i].lanes)), r[i]);
#pragma GCC unroll 2
    for (unsigned i = 0; i < kNbHalves; ++i)
        finish(group, first + i * kHalf, h[i], key[i][2], key[i][3]);
}

[[gnu::noinline]] void authenticate_long(PolyGroup& group, unsigned first,
                                         const Half& half) noexcept {
    Vector key[4];
    load_keys(key, half.lanes);
    Power powers[kChunkBlocks];
    const Number r = clamped_r(key);
    powers[0] = power_of(r);
    const Number r2 = multiply(r, powers[0]);
    powers[1] = power_of(r2);
    powers[2] = power_of(multiply(r2, powers[0]));
    powers[3] = power_of(multiply(r2, powers[1]));
    Number h = zero();
    uint32_t left = half.longest;
    while (left > 1) {
        if (begins_at(half, left))
            absorb_edge_with_powers(h, half, left--, powers);
        else
            left = absorb_run(h, half, left, powers);
    }
    absorb_edge_with_powers(h, half, 1, powers);
    h = multiply(add(h, length_block(half.lanes)), powers[0]);
    finish(group, first, h, key[2], key[3]);
}

}  // namespace

void poly_avx512(PolyGroup& group) noexcept {
    Half halves[2];
    measure(halves[0], group.lanes);
    const bool both = group.nb_lanes > kHalf;
    if (both)
        measure(halves[1], group.lanes + kHalf);
    if (both && halves[0].longest < kPowersFrom && halves[1].longest < kPowersFrom) {
        authenticate_short<2>(group, 0, halves);
        return;
    }
    for (unsigned i = 0; i < (both ? 2 : 1); ++i) {
        if (halves[i].longest < kPowersFrom)
            authenticate_short<1>(group, i * kHalf, halves + i);
        else
            authenticate_long(group, i * kHalf, halves[i]);
    }
}

}  // namespace meshgate
