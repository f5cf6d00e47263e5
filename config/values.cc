// SPDX-License-Identifier: Apache-2.0
#include "config/values.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "base/text.h"

namespace meshgate::config {
namespace {

constexpr size_t kMaxNameLen = 63;
constexpr size_t kMaxSocketPathLen = 107;    // sun_path, less its end
constexpr size_t kMaxInterfaceNameLen = 15;  // IFNAMSIZ, less its end
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kMinMemory = 64 * kMiB;
constexpr uint64_t kMaxMemory = uint64_t{256} << 30;

bool is_name_char(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
}

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

bool is_this_network(const IpAddress& address) {
    return address.is_v4() && address.bytes[0] == 0;
}

bool is_reserved(const IpAddress& address) {
    return address.is_v4() && address.bytes[0] >= 240;
}

// Why no host can have this address; empty when one can.
std::string_view not_a_host(const IpAddress& address) {
    if (address.is_unspecified() || is_this_network(address))
        return "the unspecified address";
    if (address.is_loopback())
        return "a loopback address";
    if (address.is_multicast())
        return "a multicast address";
    if (is_reserved(address))
        return "a reserved or broadcast address";
    return {};
}

IpAddress last_of(const Prefix& prefix) {
    IpAddress last = prefix.network().address;
    for (unsigned bit = prefix.len; bit < prefix.address.bits(); ++bit)
        last.bytes[bit / 8] = static_cast<uint8_t>(last.bytes[bit / 8] | (0x80U >> (bit % 8)));
    return last;
}

// Why the host part makes no address of an interface; empty when it does.
std::string_view not_in_network(const Prefix& prefix) {
    if (prefix.len + 1 >= prefix.address.bits())
        return {};
    if (prefix.address == prefix.network().address)
        return "the address of the network itself";
    if (prefix.address.is_v4() && prefix.address == last_of(prefix))
        return "the broadcast address of its network";
    return {};
}

std::string first_host_of(const Prefix& prefix) {
    Prefix host = prefix.network();
    host.address.bytes[prefix.address.bits() / 8 - 1] |= 1;
    return to_string(host);
}

std::optional<Prefix> read_prefix(const Input& in) {
    const auto text = in.scalar();
    if (!text)
        return std::nullopt;
    const auto prefix = parse_prefix(*text);
    if (prefix)
        return prefix;
    const auto address = parse_address(text->substr(0, text->find('/')));
    Diagnostic& diagnostic = in.complain("bad-prefix", quoted(*text) + " is no IP prefix");
    if (address)
        diagnostic.fix = address->is_v4() ? "the length is a whole number from 0 to 32"
                                          : "the length is a whole number from 0 to 128";
    return std::nullopt;
}

Prefix read_interface_address(const Input& in) {
    const auto prefix = read_prefix(in);
    if (!prefix)
        return {};
    const std::string text = quoted(in.node.text);
    if (in.node.text.find('/') == std::string::npos) {
        in.complain("bad-address", text + " has no prefix length").suggestion =
            in.node.text + (prefix->address.is_v4() ? "/24" : "/64");
        return {};
    }
    if (const auto why = not_a_host(prefix->address); !why.empty()) {
        in.complain("bad-address", text + " is " + std::string{why});
        return {};
    }
    if (prefix->address.is_v6() && prefix->address.is_link_local()) {
        in.complain("bad-address", text + " is a link-local address").fix =
            "leave it out: each port makes its own";
        return {};
    }
    if (prefix->len == 0) {
        in.complain("bad-address", "a network of length 0 holds every address").suggestion =
            to_string(prefix->address) + (prefix->address.is_v4() ? "/24" : "/64");
        return {};
    }
    if (const auto why = not_in_network(*prefix); !why.empty()) {
        in.complain("bad-address", text + " is " + std::string{why}).suggestion =
            first_host_of(*prefix);
        return {};
    }
    return *prefix;
}

bool is_interface_name(std::string_view text) {
    const auto allowed = [](char c) { return is_name_char(c) || c == '@'; };
    return !text.empty() && text.size() <= kMaxInterfaceNameLen && text != "." && text != ".." &&
           std::all_of(text.begin(), text.end(), allowed);
}

// "0000:03:00.0"; the domain may be left out, and hexadecimal digits be large.
std::optional<std::string> pci_address(std::string_view text) {
    std::string full{text};
    std::transform(full.begin(), full.end(), full.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (full.size() == 7)
        full = "0000:" + full;
    constexpr std::string_view kForm = "hhhh:hh:hh.o";
    if (full.size() != kForm.size())
        return std::nullopt;
    for (size_t i = 0; i < kForm.size(); ++i) {
        const char c = full[i];
        const bool fits = kForm[i] == 'h'   ? std::isxdigit(static_cast<unsigned char>(c)) != 0
                          : kForm[i] == 'o' ? c >= '0' && c <= '7'
                                            : c == kForm[i];
        if (!fits)
            return std::nullopt;
    }
    return full;
}

// Goes into an EAL argument list, where commas and spaces divide.
bool is_socket_path(std::string_view text) {
    return text.size() > 1 && text.size() <= kMaxSocketPathLen && text[0] == '/' &&
           text.back() != '/' && text.find_first_of(", \n") == std::string_view::npos;
}

// Complains and returns nothing, or returns the argument in its one form.
std::optional<std::string> read_device_argument(const Input& in, DeviceKind kind,
                                                std::string_view text) {
    const auto refuse = [&in](const std::string& message, const char* fix) {
        in.complain("bad-device", message).fix = fix;
        return std::nullopt;
    };
    switch (kind) {
        case DeviceKind::pci:
            if (auto address = pci_address(text))
                return address;
            return refuse(quoted(text) + " is no PCI address",
                          "write it as in pci:0000:03:00.0; lspci -D lists them");
        case DeviceKind::af_xdp:
        case DeviceKind::af_packet:
        case DeviceKind::tap:
            if (is_interface_name(text))
                return std::string{text};
            return refuse(quoted(text) + " is no interface name",
                          "1 to 15 of A-Z a-z 0-9 . _ - @; ip link lists those of this box");
        case DeviceKind::memif:
            if (is_socket_path(text))
                return std::string{text};
            return refuse(quoted(text) + " is no absolute path of a socket",
                          "write it as in memif:/run/meshgate/memif.sock");
        case DeviceKind::vdev:
            if (!text.empty() && text.find_first_of(" \n") == std::string_view::npos)
                return std::string{text};
            return refuse("a virtual device needs a text without spaces",
                          "write it as DPDK does, such as vdev:net_null0");
    }
    return std::nullopt;
}

bool looks_like_host_name(std::string_view text) {
    const std::string_view host = text.substr(0, text.rfind(':'));
    return std::any_of(host.begin(), host.end(),
                       [](unsigned char c) { return std::isalpha(c) != 0; }) &&
           std::all_of(host.begin(), host.end(), is_name_char);
}

void explain_endpoint(const Input& in, std::string_view text) {
    const auto address = parse_address(text);
    Diagnostic& diagnostic = in.complain("bad-endpoint", quoted(text) + " is no address and port");
    if (address && address->is_v6())
        diagnostic.fix =
            "put the address in brackets and add the port: \"[" + std::string{text} + "]:51820\"";
    else if (address)
        diagnostic.suggestion = std::string{text} + ":51820";
    else if (looks_like_host_name(text)) {
        diagnostic.message = quoted(text) + " is a name, and the box file takes addresses only";
        diagnostic.fix = "write the address that the name stands for, with the port";
    }
}

// An endpoint that some host can have.
std::optional<Endpoint> read_socket_address(const Input& in) {
    const auto text = in.scalar();
    if (!text)
        return std::nullopt;
    const auto endpoint = parse_endpoint(*text);
    if (!endpoint)
        explain_endpoint(in, *text);
    return endpoint;
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
    Diagnostic& diagnostic = in.complain(code, quoted(*text) + " is not a " + std::string{noun});
    diagnostic.allowed.assign(words.begin(), words.end());
    std::string lower{*text};
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    diagnostic.suggestion = closest_word(lower, words);
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
    if (holds_key(*text)) {
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

void read_socket(const Input& in, std::string& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    if (is_socket_path(*text)) {
        out = *text;
        return;
    }
    const char* why = text->size() > kMaxSocketPathLen ? " is too long for a socket"
                                                       : " is no absolute path of a socket";
    in.complain("bad-path", quoted(*text) + why).fix = "write it as in /run/meshgate/meshgate.sock";
}

void read_wg_socket(const Input& in, std::string& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    const std::string_view file = text->substr(text->rfind('/') + 1);
    constexpr std::string_view kEnd = ".sock";
    const bool named = file.ends_with(kEnd) && is_interface_name(file.substr(0, file.size() - 5));
    if (*text == "off" || *text == "auto" || (is_socket_path(*text) && named)) {
        out = *text;
        return;
    }
    in.complain("bad-path", quoted(*text) + " is nothing that wg(8) would find").fix =
        "write it as in /var/run/wireguard/wg0.sock, which wg show calls wg0";
}

void read_device(const Input& in, Device& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    const size_t colon = text->find(':');
    const std::string_view word = text->substr(0, colon);
    std::vector<std::string_view> words;
    for (const auto& [kind, value] : kDeviceKinds.words) {
        words.push_back(kind);
        if (kind != word || colon == std::string_view::npos)
            continue;
        if (auto argument = read_device_argument(in, value, text->substr(colon + 1)))
            out = Device{value, std::move(*argument)};
        return;
    }
    if (colon == std::string_view::npos) {
        in.complain("bad-device", quoted(*text) + " does not say what kind of device it is")
            .suggestion =
            pci_address(*text) ? "pci:" + *pci_address(*text) : "af_packet:" + printable(*text);
        return;
    }
    Diagnostic& diagnostic = in.complain("bad-device", quoted(word) + " is not a kind of device");
    if (pci_address(*text))
        diagnostic.suggestion = "pci:" + *pci_address(*text);
    else
        diagnostic.suggestion = closest_word(word, words);
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

void read_interface_addresses(const Input& in, std::vector<Prefix>& out) {
    out.clear();
    for (const Input& item : in.items())
        out.push_back(read_interface_address(item));
}

void read_network(const Input& in, Prefix& out) {
    const auto prefix = read_prefix(in);
    if (!prefix)
        return;
    const Prefix network = prefix->network();
    if (*prefix != network) {
        in.complain("host-bits", quoted(in.node.text) + " has bits set behind its length")
            .suggestion = to_string(network) + " or " + to_string(prefix->address) +
                          (prefix->address.is_v4() ? "/32" : "/128");
        return;
    }
    const bool everything = network.len == 0;
    const auto why = not_a_host(network.address);
    if (!everything && !why.empty()) {
        in.complain("bad-prefix", quoted(in.node.text) + " begins with " + std::string{why});
        return;
    }
    out = network;
}

void read_networks(const Input& in, std::vector<Prefix>& out) {
    out.clear();
    for (const Input& item : in.items()) {
        out.emplace_back();
        read_network(item, out.back());
    }
}

void read_via(const Input& in, std::optional<IpAddress>& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    const auto address = parse_address(*text);
    if (!address)
        in.complain("bad-address", quoted(*text) + " is no IP address");
    else if (const auto why = not_a_host(*address); !why.empty())
        in.complain("bad-address", quoted(*text) + " is " + std::string{why});
    else
        out = *address;
}

void read_gateways(const Input& in, Port& out) {
    for (const Input& item : in.items()) {
        std::optional<IpAddress> address;
        read_via(item, address);
        if (!address)
            continue;
        auto& gateway = address->is_v4() ? out.gateway_v4 : out.gateway_v6;
        if (gateway)
            item.complain("gateway-twice", "a second gateway of the same family").fix =
                "keep one IPv4 and one IPv6 gateway at most";
        else
            gateway = address;
    }
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

void read_mac(const Input& in, std::optional<MacAddress>& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    const auto mac = parse_mac(*text);
    if (!mac)
        in.complain("bad-mac", quoted(*text) + " is no MAC address");
    else if (mac->is_multicast() || mac->is_zero())
        in.complain("bad-mac", quoted(*text) + " is no address that a port can have");
    else
        out = *mac;
}

void read_endpoint(const Input& in, std::optional<Endpoint>& out) {
    const auto endpoint = read_socket_address(in);
    if (!endpoint)
        return;
    if (const auto why = not_a_host(endpoint->address); !why.empty())
        in.complain("bad-endpoint", quoted(in.node.text) + " is " + std::string{why});
    else if (endpoint->address.is_v6() && endpoint->address.is_link_local())
        in.complain("bad-endpoint", quoted(in.node.text) + " is a link-local address").fix =
            "write a global or a private address of the peer";
    else
        out = *endpoint;
}

void read_http(const Input& in, std::optional<Endpoint>& out) {
    if (in.node.kind == NodeKind::scalar && in.node.text == "off") {
        out.reset();
        return;
    }
    const auto endpoint = read_socket_address(in);
    if (!endpoint)
        return;
    if (endpoint->address.is_multicast()) {
        in.complain("bad-endpoint", quoted(in.node.text) + " is a multicast address");
        return;
    }
    if (endpoint->address.is_unspecified())
        in.report
            .warning("http-exposed", in.node.place, in.path.str(),
                     "whoever reaches any address of this box can read its state")
            .fix = "127.0.0.1:9586, or one address of the management network";
    out = *endpoint;
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
            number + (unit.starts_with('m') ? "min" : "s");
    } else if (quantity->number < 1 || quantity->number > UINT16_MAX / seconds) {
        in.complain("bad-duration", quoted(*text) + " is out of range");
    } else {
        out = static_cast<uint16_t>(quantity->number * seconds);
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
    const std::string number = std::to_string(quantity->number);
    if (factor == 0) {
        const bool giga = unit.starts_with('G') || unit.starts_with('g');
        in.complain("bad-size", unit.empty() ? quoted(*text) + " has no unit"
                                             : quoted(unit) + " is no unit of size here")
            .suggestion = number + (giga ? "GiB" : "MiB");
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
