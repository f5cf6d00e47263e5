// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/fib_avx512.h"

#include <immintrin.h>

namespace meshgate {

namespace {

constexpr unsigned kLanes = 16;

__m512i all(uint32_t value) noexcept {
    return _mm512_set1_epi32(static_cast<int>(value));
}

__m512i swapped_words(__m512i words) noexcept {
    const __m128i order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    return _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(order));
}

__m512i gather(__mmask16 wanted, __m512i positions, const uint32_t* words) noexcept {
    return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), wanted, positions, words, 4);
}

// One step of fib.cc's look-up (Trie::next), for those lanes whose ref is of a node.
__m512i next_refs(__mmask16 open, __m512i refs, __m512i addresses, const uint32_t* words) noexcept {
    const __m512i node = _mm512_srli_epi32(refs, 1);
    const __m512i starts_low = gather(open, node, words);
    const __m512i starts_high = gather(open, node, words + 1);
    const __m512i key = gather(open, node, words + 2);
    const __m512i depth = gather(open, node, words + 3);
    const __m512i way = _mm512_srli_epi32(_mm512_sllv_epi32(addresses, depth), 26);
    // The bits up to and with that of the way; a shift by 32 and more gives 0, so that all are.
    const __m512i one = all(1);
    const __m512i up_to_low = _mm512_sub_epi32(_mm512_sllv_epi32(all(2), way), one);
    const __mmask16 in_high = _mm512_cmpge_epu32_mask(way, all(32));
    const __m512i up_to_high = _mm512_maskz_sub_epi32(
        in_high, _mm512_sllv_epi32(one, _mm512_sub_epi32(way, all(31))), one);
    const __m512i counted =
        _mm512_add_epi32(_mm512_popcnt_epi32(_mm512_and_si512(starts_low, up_to_low)),
                         _mm512_popcnt_epi32(_mm512_and_si512(starts_high, up_to_high)));
    const __m512i differing =
        _mm512_srlv_epi32(_mm512_xor_si512(addresses, key), _mm512_sub_epi32(all(32), depth));
    const __mmask16 matching = _mm512_testn_epi32_mask(differing, differing);
    const __m512i ref = _mm512_mask_add_epi32(node, matching, node, counted);
    return _mm512_mask_i32gather_epi32(refs, open, ref, words + 4, 4);
}

}  // namespace

void look_up_v4_avx512(uint32_t* values, const TrieWords* trie, const uint32_t* destinations_be,
                       uint64_t nb) noexcept {
    const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(trie->direct_shift));
    const __m512i one = all(1);
    for (uint64_t begin = 0; begin < nb; begin += kLanes) {
        const uint64_t left = nb - begin;
        const auto used = static_cast<__mmask16>(
            _bzhi_u32(0xffff, left < kLanes ? static_cast<unsigned>(left) : kLanes));
        const __m512i addresses =
            swapped_words(_mm512_maskz_loadu_epi32(used, destinations_be + begin));
        __m512i refs = gather(used, _mm512_srl_epi32(addresses, shift), trie->words);
        for (__mmask16 open = _mm512_test_epi32_mask(refs, one); open != 0;
             open = _mm512_test_epi32_mask(refs, one))
            refs = next_refs(open, refs, addresses, trie->words);
        _mm512_mask_storeu_epi32(values + begin, used, _mm512_srli_epi32(refs, 1));
    }
}

}  // namespace meshgate
