// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>

namespace meshgate {
namespace {

struct Decoded {
    uint32_t code_point = 0;
    size_t len = 0;  // 0: not UTF-8
};

uint8_t byte_at(std::string_view text, size_t position) {
    return static_cast<uint8_t>(text[position]);
}

// Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
Decoded decode(std::string_view text) {
    const uint8_t first = byte_at(text, 0);
    if (first < 0x80)
        return {first, 1};
    const size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < len)
        return {};
    uint32_t code_point = first & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; ++i) {
        if ((byte_at(text, i) & 0xc0) != 0x80)
            return {};
        code_point = code_point << 6 | (byte_at(text, i) & 0x3fU);
    }
    constexpr std::array<uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
    if (code_point < kLeast[len] || code_point > 0x10ffff || surrogate)
        return {};
    return {code_point, len};
}

bool is_harmless(uint32_t code_point) {
    const bool control = code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0);
    const bool line_break = code_point == 0x2028 || code_point == 0x2029;
    const bool bidirectional = code_point == 0x061c || code_point == 0x200e ||
                               code_point == 0x200f ||
                               (code_point >= 0x202a && code_point <= 0x202e) ||
                               (code_point >= 0x2066 && code_point <= 0x2069);
    return !control && !line_break && !bidirectional;
}

void append_escaped(std::string& out, std::string_view bytes) {
    constexpr char kHex[] = "0123456789abcdef";
    for (const char c : bytes) {
        const auto byte = static_cast<uint8_t>(c);
        out += "\\x";
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
    }
}

constexpr size_t kMaxWordLen = 48;  // beyond which no similar word is looked for

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
size_t distance(std::string_view a, std::string_view b) {
    using Row = std::array<size_t, kMaxWordLen + 1>;
    Row before_last{}, last{}, current{};
    std::iota(last.begin(), last.end(), size_t{0});
    for (size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t substitution = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            current[j] = std::min({last[j] + 1, current[j - 1] + 1, substitution});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                current[j] = std::min(current[j], before_last[j - 2] + 1);
        }
        before_last = last;
        last = current;
    }
    return last[b.size()];
}

}  // namespace

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const Decoded next = decode(text);
        const std::string_view bytes = text.substr(0, std::max<size_t>(next.len, 1));
        if (next.len > 0 && is_harmless(next.code_point))
            out += bytes;
        else
            append_escaped(out, bytes);
        text.remove_prefix(bytes.size());
    }
    return out;
}

size_t find_unprintable(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
        const Decoded next = decode(text.substr(at));
        if (next.len == 0 || !is_harmless(next.code_point))
            return at;
        at += next.len;
    }
    return std::string_view::npos;
}

std::string_view closest_word(std::string_view word, std::span<const std::string_view> candidates) {
    if (word.empty() || word.size() > kMaxWordLen)
        return {};
    std::string_view best;
    size_t best_distance = std::min<size_t>(3, word.size() / 3 + 1) + 1;
    for (const std::string_view candidate : candidates) {
        if (candidate.size() > kMaxWordLen)
            continue;
        const size_t d = distance(word, candidate);
        if (d < best_distance && d < candidate.size()) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}

std::string joined(std::span<const std::string> words, std::string_view between) {
    std::string text;
    for (const std::string& word : words)
        text.append(text.empty() ? "" : between).append(word);
    return text;
}

}  // namespace meshgate
