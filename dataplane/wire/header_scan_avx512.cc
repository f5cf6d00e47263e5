// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/header_scan.h"

#include <immintrin.h>

namespace meshgate {

namespace {

__m512i all(uint32_t value) noexcept {
    return _mm512_set1_epi32(static_cast<int>(value));
}

// Sixteen bytes of each packet, as four rows of one word of each.
struct Rows {
    __m512i word[4];
};

__m512i load_quarters(const HeaderGroup* group, unsigned first, unsigned offset) noexcept {
    const auto bytes_of = [&](unsigned lane) noexcept {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(group->l3[lane] + offset));
    };
    __m512i four = _mm512_castsi128_si512(bytes_of(first));
    four = _mm512_inserti32x4(four, bytes_of(first + 4), 1);
    four = _mm512_inserti32x4(four, bytes_of(first + 8), 2);
    return _mm512_inserti32x4(four, bytes_of(first + 12), 3);
}

Rows load_rows(const HeaderGroup* group, unsigned offset) noexcept {
    const __m512i a = load_quarters(group, 0, offset);
    const __m512i b = load_quarters(group, 1, offset);
    const __m512i c = load_quarters(group, 2, offset);
    const __m512i d = load_quarters(group, 3, offset);
    const __m512i ab_low = _mm512_unpacklo_epi32(a, b);
    const __m512i ab_high = _mm512_unpackhi_epi32(a, b);
    const __m512i cd_low = _mm512_unpacklo_epi32(c, d);
    const __m512i cd_high = _mm512_unpackhi_epi32(c, d);
    return {{_mm512_unpacklo_epi64(ab_low, cd_low), _mm512_unpackhi_epi64(ab_low, cd_low),
             _mm512_unpacklo_epi64(ab_high, cd_high), _mm512_unpackhi_epi64(ab_high, cd_high)}};
}

// The halves of a word in memory order, and those in host order.
__m512i first_half(__m512i words) noexcept {
    return _mm512_and_si512(words, all(0xffff));
}
__m512i second_half(__m512i words) noexcept {
    return _mm512_srli_epi32(words, 16);
}
__m512i first_half_swapped(__m512i words) noexcept {
    return _mm512_or_si512(_mm512_and_si512(_mm512_slli_epi32(words, 8), all(0xff00)),
                           _mm512_and_si512(_mm512_srli_epi32(words, 8), all(0xff)));
}
__m512i second_half_swapped(__m512i words) noexcept {
    return first_half_swapped(second_half(words));
}
// Both halves together: what a one's complement sum makes of the word.
__m512i halves_of(__m512i words) noexcept {
    return _mm512_add_epi32(first_half(words), second_half(words));
}

__mmask16 are(__m512i words, uint32_t mask, uint32_t value) noexcept {
    return _mm512_cmpeq_epi32_mask(_mm512_and_si512(words, all(mask)), all(value));
}

// The first 32 bytes of IPv4 headers without options. Addresses and bits as they stand in memory.
struct Ipv4Headers {
    __m512i version_and_len;  // version, IHL, type of service, total length
    __m512i fragment;         // identification, flags and offset
    __m512i hops;             // TTL, protocol, checksum
    __m512i source, destination;
    __m512i ports;      // of UDP and TCP
    __m512i udp;        // length and checksum
    __m512i message;    // the first word behind UDP
    __m512i total_len;  // host order
    __m512i sum_of_addresses;

    explicit Ipv4Headers(const HeaderGroup* group) noexcept {
        const Rows head = load_rows(group, 0);
        const Rows rest = load_rows(group, 16);
        version_and_len = head.word[0];
        fragment = head.word[1];
        hops = head.word[2];
        source = head.word[3];
        destination = rest.word[0];
        ports = rest.word[1];
        udp = rest.word[2];
        message = rest.word[3];
        total_len = second_half_swapped(version_and_len);
        sum_of_addresses = _mm512_add_epi32(halves_of(source), halves_of(destination));
    }

    // Of 20 bytes; ten words of 16 bits come to less than 2^20, and not to 0.
    __mmask16 checksum_right() const noexcept {
        const __m512i sum =
            _mm512_add_epi32(_mm512_add_epi32(sum_of_addresses, halves_of(version_and_len)),
                             _mm512_add_epi32(halves_of(fragment), halves_of(hops)));
        return _mm512_cmpeq_epi32_mask(halves_of(sum), all(0xffff));
    }
    __mmask16 martian_source() const noexcept {
        return are(source, 0xf0, 0xe0) | are(source, 0xff, 127) |
               _mm512_cmple_epu32_mask(_mm512_add_epi32(source, all(1)), all(1));
    }
    __mmask16 fragments() const noexcept {
        return _mm512_test_epi32_mask(fragment, all(0xff3f0000));
    }
    __mmask16 has_protocol(uint32_t protocol) const noexcept {
        return are(hops, 0xff00, protocol << 8);
    }
    // As frame.h's check_ipv4 wants it.
    __mmask16 sound(const HeaderGroup* group) const noexcept {
        const __m512i available = _mm512_load_si512(group->available);
        __mmask16 sound = are(version_and_len, 0xff, 0x45);
        sound = _mm512_mask_cmpge_epu32_mask(sound, total_len, all(20));
        sound = _mm512_mask_cmple_epu32_mask(sound, total_len, available);
        return static_cast<__mmask16>(sound & checksum_right() & ~martian_source());
    }
};

__mmask16 any_of(__m512i addresses, const HeaderRules* rules) noexcept {
    __mmask16 found = 0;
    for (uint32_t i = 0; i < rules->nb_own_addresses; ++i)
        found |= _mm512_cmpeq_epi32_mask(addresses, all(rules->own_addresses_be[i]));
    return found;
}

constexpr uint32_t kTcp = 6;
constexpr uint32_t kUdp = 17;

// As partial_checksum.h has it.
__mmask16 partial_checksums(const HeaderGroup* group, const Ipv4Headers& ip) noexcept {
    constexpr unsigned kTcpFieldWord = 36;
    const __m512i a =
        _mm512_unpacklo_epi32(load_quarters(group, 0, 32), load_quarters(group, 1, 32));
    const __m512i b =
        _mm512_unpacklo_epi32(load_quarters(group, 2, 32), load_quarters(group, 3, 32));
    static_assert(kTcpFieldWord == 32 + 4, "the second word of these sixteen bytes");
    const __m512i tcp_field = first_half(_mm512_unpackhi_epi64(a, b));
    const __mmask16 is_tcp = ip.has_protocol(kTcp);
    const __mmask16 is_udp = ip.has_protocol(kUdp);
    const __mmask16 has_field =
        _mm512_mask_cmpge_epu32_mask(is_tcp, ip.total_len, all(kTcpFieldWord + 2)) |
        _mm512_mask_cmpge_epu32_mask(is_udp, ip.total_len, all(20 + 8));
    const __m512i field = _mm512_mask_blend_epi32(is_tcp, second_half(ip.udp), tcp_field);
    const __m512i l4_len_be = first_half_swapped(_mm512_sub_epi32(ip.total_len, all(20)));
    __m512i sum = _mm512_add_epi32(ip.sum_of_addresses, l4_len_be);
    sum = _mm512_add_epi32(sum, _mm512_and_si512(ip.hops, all(0xff00)));
    // Folded it is 1 to 0xffff, since the protocol is not 0, and so is a field that is not 0:
    // congruent is equal.
    sum = halves_of(halves_of(sum));
    return _mm512_mask_cmpeq_epi32_mask(has_field & static_cast<__mmask16>(~ip.fragments()), sum,
                                        field) &
           _mm512_test_epi32_mask(field, field);
}

}  // namespace

HeaderVerdict judge_overlay_avx512(const HeaderGroup* group, const HeaderRules* rules) noexcept {
    const Ipv4Headers ip{group};
    // Link-local, reserved, or of "this network": scope.h.
    const __mmask16 special =
        are(ip.source, 0xffff, 0xfea9) | are(ip.source, 0xf0, 0xf0) | are(ip.source, 0xff, 0);
    const auto plain =
        static_cast<__mmask16>(ip.sound(group) & ~(any_of(ip.source, rules) | special));
    return {plain, static_cast<uint32_t>(plain & partial_checksums(group, ip))};
}

HeaderVerdict judge_underlay_avx512(const HeaderGroup* group, const HeaderRules* rules) noexcept {
    constexpr uint32_t kUdpLen = 8;
    constexpr uint32_t kTransportLen = 32;
    constexpr uint32_t kTransport = 4;
    const Ipv4Headers ip{group};
    const __m512i udp_len = first_half_swapped(ip.udp);
    __mmask16 to_us = 0;
    for (uint32_t i = 0; i < rules->nb_listen_ports; ++i)
        to_us |= are(ip.ports, 0xffff0000, uint32_t{rules->listen_ports_be[i]} << 16);
    auto plain = static_cast<__mmask16>(ip.sound(group) & ip.has_protocol(kUdp) & ~ip.fragments() &
                                        any_of(ip.destination, rules) & to_us &
                                        _mm512_test_epi32_mask(ip.ports, all(0xffff)) &
                                        are(ip.message, 0xffffffff, kTransport));
    plain = _mm512_mask_cmpge_epu32_mask(plain, udp_len, all(kUdpLen + kTransportLen));
    plain = _mm512_mask_cmple_epu32_mask(plain, _mm512_add_epi32(udp_len, all(20)), ip.total_len);
    return {plain, 0};
}

}  // namespace meshgate
