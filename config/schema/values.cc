// SPDX-License-Identifier: Apache-2.0
#include "config/schema/values.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "base/text.h"

namespace meshgate::config {
namespace {

constexpr size_t kMaxNameLen = 63;  // of a node, port, peer, member or client
constexpr size_t kMinHexKeyLen = 16;
constexpr uint64_t kMinHelloMs = 100;     // of babel.hello_interval
constexpr uint64_t kMaxHelloMs = 60'000;  // likewise
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kMinMemory = 64 * kMiB;            // of dataplane.memory
constexpr uint64_t kMaxMemory = uint64_t{256} << 30;  // likewise

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= kMaxNameLen && text[0] != '.' && text[0] != '_' &&
           text[0] != '-' && std::all_of(text.begin(), text.end(), is_name_char);
}

// The text with every other character as '-': what the user probably can live with.
std::string name_like(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, kMaxNameLen))
        if (is_name_char(c))
            out += c;
        else if (!out.empty() && out.back() != '-')
            out += '-';
    while (!out.empty() && !is_name(out))
        out.erase(0, 1);
    while (out.ends_with('-'))
        out.pop_back();
    return out;
}

std::optional<uint64_t> parse_number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool canonical = text.size() == 1 || (!text.empty() && text[0] != '0');
    if (error != std::errc{} || end != text.data() + text.size() || !canonical)
        return std::nullopt;
    return value;
}

// "25s" as 25 and "s".
struct Quantity {
    uint64_t number = 0;
    std::string_view unit;
};

std::optional<Quantity> parse_quantity(std::string_view text) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = parse_number(text.substr(0, digits));
    if (!number)
        return std::nullopt;
    std::string_view unit = text.substr(digits);
    if (unit.starts_with(' '))
        unit.remove_prefix(1);
    return Quantity{*number, unit};
}

// What was probably meant with another unit or with none: bytes when it is that many.
std::string size_like(const Quantity& quantity) {
    const char first = quantity.unit.empty() ? 'm' : quantity.unit[0];
    if (quantity.unit.empty() && quantity.number >= kMinMemory)
        return std::to_string(quantity.number / kMiB) + "MiB";
    if (first == 'm' || first == 'M')
        return std::to_string(quantity.number) + "MiB";
    return first == 'g' || first == 'G' ? std::to_string(quantity.number) + "GiB" : "";
}

constexpr PublicKey key_of(std::initializer_list<uint8_t> head, uint8_t middle, uint8_t last) {
    PublicKey key;
    key.bytes.fill(middle);
    std::copy(head.begin(), head.end(), key.bytes.begin());
    key.bytes[kKeyLen - 1] = last;
    return key;
}

// The points of order 1, 2, 4 and 8 (RFC 7748, section 6.1): 0, 1, two of order 8, and p-1, p, p+1.
// With them every private key gives the same secret. A test checks them against libsodium.
constexpr std::array<PublicKey, 7> kWeakKeys{
    key_of({}, 0, 0),
    key_of({1}, 0, 0),
    PublicKey{{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
               0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
               0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00}},
    PublicKey{{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
               0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
               0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57}},
    key_of({0xec}, 0xff, 0x7f),
    key_of({0xed}, 0xff, 0x7f),
    key_of({0xee}, 0xff, 0x7f),
};

}  // namespace

bool is_name_char(char c) noexcept {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
}

bool is_weak_key(const PublicKey& key) noexcept {
    PublicKey canonical = key;
    canonical.bytes[kKeyLen - 1] &= 0x7f;  // X25519 ignores the highest bit
    return std::find(kWeakKeys.begin(), kWeakKeys.end(), canonical) != kWeakKeys.end();
}

std::optional<uint64_t> read_number(const Input& in, std::string_view code, uint64_t min,
                                    uint64_t max) {
    const auto text = in.bare_scalar();
    if (!text)
        return std::nullopt;
    const auto number = parse_number(*text);
    if (number && *number >= min && *number <= max)
        return number;
    in.complain(
        code, number ? quoted(*text) + " is out of range" : quoted(*text) + " is no whole number");
    return std::nullopt;
}

std::optional<size_t> read_word(const Input& in, std::string_view noun, std::string_view code,
                                const std::vector<std::string_view>& words) {
    const auto text = in.scalar();
    if (!text)
        return std::nullopt;
    const auto found = std::find(words.begin(), words.end(), *text);
    if (found != words.end())
        return static_cast<size_t>(found - words.begin());
    Diagnostic& diagnostic = in.complain(code, quoted(*text) + " is not " + std::string{noun});
    diagnostic.allowed.assign(words.begin(), words.end());
    std::string lower{*text};
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto longer = std::find_if(words.begin(), words.end(), [&lower](std::string_view word) {
        return lower.size() >= 3 && word.starts_with(lower);
    });
    diagnostic.suggestion = longer == words.end() ? closest_word(lower, words) : *longer;
    return std::nullopt;
}

void read_name(const Input& in, std::string& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    if (is_name(*text)) {
        out = *text;
        return;
    }
    const bool too_long = text->size() > kMaxNameLen;
    in.complain("bad-name", quoted(*text) + (too_long ? " is too long" : " is not a name"))
        .suggestion = name_like(*text);
}

void read_key_file(const Input& in, std::string& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    // A path may look like a key, and a key like a path; a path that is a whole key is none.
    const bool path_like = text->starts_with('/') || text->find('.') != std::string_view::npos;
    const bool hex = text->size() >= kMinHexKeyLen &&
                     text->find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
    if (parse_secret_key(*text) || hex || (holds_key(*text) && !path_like)) {
        in.complain("inline-secret", "this looks like the key itself; the box file holds no keys")
            .fix = "put the key into a file of its own, chmod 600, and write the name of the file";
        return;
    }
    if (text->find('\n') != std::string_view::npos) {
        in.complain("bad-path", "the name of a file has one line").fix = "write it in one line";
        return;
    }
    out = text->starts_with('/') ? std::string{*text} : in.base_dir + "/" + std::string{*text};
}

void read_public_key(const Input& in, PublicKey& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    const auto key = parse_public_key(*text);
    if (!key) {
        // Not quoted: it may well be a private key with a character too many.
        in.complain("bad-key", "this is no public key; it has " + std::to_string(text->size()) +
                                   " characters");
        return;
    }
    if (is_weak_key(*key)) {
        in.complain("weak-key", "this public key gives everybody the same secret").fix =
            "make a new key pair on the peer: wg genkey | tee private | wg pubkey";
        return;
    }
    out = *key;
}

void read_true(const Input& in) {
    const auto text = in.bare_scalar();
    if (!text || *text == "true")
        return;
    Diagnostic& diagnostic = in.complain("bad-boolean", quoted(*text) + " is not allowed here");
    const bool no = *text == "false" || *text == "no" || *text == "off";
    if (no)
        diagnostic.fix = "leave blackhole out and say where the prefix leads: via";
    else
        diagnostic.suggestion = "true";
}

void read_boolean(const Input& in, bool& out) {
    const auto text = in.bare_scalar();
    if (!text)
        return;
    if (*text == "true" || *text == "false") {
        out = *text == "true";
        return;
    }
    const bool yes = *text == "yes" || *text == "on" || *text == "True" || *text == "1";
    in.complain("bad-boolean", quoted(*text) + " is not allowed here").suggestion =
        yes ? "true" : "false";
}

void read_network_file(const Input& in, std::string& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    if (text->find('\n') != std::string_view::npos) {
        in.complain("bad-path", "the name of a file has one line").fix = "write it in one line";
        return;
    }
    if (text->ends_with(".sig")) {
        in.complain("bad-path", "this is the signature, not the network file").suggestion =
            text->substr(0, text->size() - 4);
        return;
    }
    out = text->starts_with('/') ? std::string{*text} : in.base_dir + "/" + std::string{*text};
}

void read_authority(const Input& in, AuthorityKey& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    const auto key = parse_authority_key(*text);
    if (key)
        out = *key;
    else  // not quoted: it may well be a secret with a character too many
        in.complain("bad-key", "this is no authority key; it has " + std::to_string(text->size()) +
                                   " characters")
            .fix = "meshgate network keygen makes a key pair and prints the public key";
}

void read_cores(const Input& in, std::vector<unsigned>& out) {
    std::set<unsigned> seen;
    for (const Input& item : in.items()) {
        const auto core = read_number(item, kCoreIds.code, kCoreIds.min, kCoreIds.max);
        if (core && !seen.insert(static_cast<unsigned>(*core)).second)
            item.complain("core-twice", "core " + std::to_string(*core) + " stands here twice");
        else if (core)
            out.push_back(static_cast<unsigned>(*core));
    }
    if (seen.size() > kWorkerCounts.max)
        in.complain("bad-number", std::to_string(seen.size()) + " cores are too many");
}

void read_keepalive(const Input& in, uint16_t& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    if (*text == "off") {
        out = 0;
        return;
    }
    const auto quantity = parse_quantity(*text);
    if (!quantity) {
        in.complain("bad-duration", quoted(*text) + " is no time");
        return;
    }
    const std::string_view unit = quantity->unit;
    const uint64_t seconds = unit == "s" ? 1 : unit == "min" ? 60 : unit == "h" ? 3600 : 0;
    const std::string number = std::to_string(quantity->number);
    if (*text == "0") {
        in.complain("bad-duration", "a keepalive that never comes is called off").suggestion =
            "off";
    } else if (unit.empty()) {
        in.complain("bad-duration", quoted(*text) + " has no unit").suggestion = number + "s";
    } else if (seconds == 0) {
        in.complain("bad-duration", quoted(unit) + " is no unit of time here").suggestion =
            unit == "m"                    ? number + "min"
            : unit == "S" || unit == "sec" ? number + "s"
                                           : "";
    } else if (quantity->number < 1 || quantity->number > UINT16_MAX / seconds) {
        in.complain("bad-duration", quoted(*text) + " is out of range");
    } else {
        out = static_cast<uint16_t>(quantity->number * seconds);
    }
}

void read_hello(const Input& in, uint32_t& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    const auto quantity = parse_quantity(*text);
    const std::string_view unit = quantity ? quantity->unit : "";
    const uint64_t scale = unit == "ms" ? 1 : unit == "s" ? 1000 : 0;
    if (!quantity) {
        in.complain("bad-duration", quoted(*text) + " is no time");
    } else if (scale == 0) {
        in.complain("bad-duration", quoted(*text) + " has no unit of time that is allowed here")
            .suggestion = unit.empty() ? std::to_string(quantity->number) + "s" : "";
    } else if (quantity->number > kMaxHelloMs || quantity->number * scale < kMinHelloMs ||
               quantity->number * scale > kMaxHelloMs) {
        in.complain("bad-duration", quoted(*text) + " is out of range");
    } else {
        out = static_cast<uint32_t>(quantity->number * scale);
    }
}

void read_memory(const Input& in, uint64_t& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    const auto quantity = parse_quantity(*text);
    if (!quantity) {
        in.complain("bad-size", quoted(*text) + " is no size");
        return;
    }
    const std::string_view unit = quantity->unit;
    const uint64_t factor = unit == "MiB" ? kMiB : unit == "GiB" ? kMiB << 10 : 0;
    if (factor == 0) {
        in.complain("bad-size", unit.empty() ? quoted(*text) + " has no unit"
                                             : quoted(unit) + " is no unit of size here")
            .suggestion = size_like(*quantity);
    } else if (quantity->number < kMinMemory / factor || quantity->number * factor < kMinMemory ||
               quantity->number > kMaxMemory / factor) {
        in.complain("bad-size", quoted(*text) + " is out of range");
    } else {
        out = quantity->number * factor;
    }
}

std::string show_text(const std::string& value) {
    return value;
}

std::string show_path_or_off(const std::string& value) {
    return value.empty() ? "off" : value;
}

std::string show_device(const Device& value) {
    return to_string(value);
}

std::string show_public_key(const PublicKey& value) {
    return to_string(value);
}

std::string show_boolean(const bool& value) {
    return value ? "true" : "false";
}

std::string show_authority(const AuthorityKey& value) {
    return value == AuthorityKey{} ? "" : to_string(value);
}

std::string show_prefix(const Prefix& value) {
    return to_string(value);
}

std::string show_prefixes(const std::vector<Prefix>& value) {
    std::string out;
    for (const Prefix& prefix : value)
        out += (out.empty() ? "" : ", ") + to_string(prefix);
    return "[" + out + "]";
}

std::string show_gateways(const Port& value) {
    std::string out = show_optional(value.gateway_v4);
    if (value.gateway_v4 && value.gateway_v6)
        return "[" + out + ", " + to_string(*value.gateway_v6) + "]";
    return out + show_optional(value.gateway_v6);
}

std::string show_keepalive(const uint16_t& value) {
    return value == 0 ? "off" : std::to_string(value) + "s";
}

std::string show_hello(const uint32_t& value) {
    return value % 1000 == 0 ? std::to_string(value / 1000) + "s" : std::to_string(value) + "ms";
}

std::string show_memory(const uint64_t& value) {
    const bool whole = value % (kMiB << 10) == 0;
    return whole ? std::to_string(value / (kMiB << 10)) + "GiB"
                 : std::to_string(value / kMiB) + "MiB";
}

std::string show_cores(const std::vector<unsigned>& value) {
    std::string out;
    for (const unsigned core : value)
        out += (out.empty() ? "" : ", ") + std::to_string(core);
    return value.empty() ? "" : "[" + out + "]";
}

std::string show_endpoint(const std::optional<Endpoint>& value) {
    return show_optional(value);
}

std::string show_http(const std::optional<Endpoint>& value) {
    return value ? to_string(*value) : "off";
}

}  // namespace meshgate::config
