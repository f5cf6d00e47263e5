// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "config/schema/values.h"

namespace meshgate::config {
namespace {

constexpr size_t kMaxSocketPathLen = 107;    // sun_path, less its end
constexpr size_t kMaxInterfaceNameLen = 15;  // IFNAMSIZ, less its end

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

// A socket path, then ",role=server" or ",role=client" and ",id=NUMBER" in any order, or neither.
bool is_memif(std::string_view text) {
    const auto is_option = [](std::string_view word) {
        const bool is_id = word.starts_with("id=") && word.size() > 3 && word.size() < 9;
        return word == "role=server" || word == "role=client" ||
               (is_id && word.find_first_not_of("0123456789", 3) == std::string_view::npos);
    };
    const std::string_view path = text.substr(0, text.find(','));
    if (!is_socket_path(path))
        return false;
    for (text.remove_prefix(path.size()); !text.empty();) {
        const std::string_view word = text.substr(1, text.find(',', 1) - 1);
        if (!is_option(word))
            return false;
        text.remove_prefix(1 + word.size());
    }
    return true;
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
            if (is_memif(text))
                return std::string{text};
            return refuse(quoted(text) + " is no absolute path of a socket",
                          "write it as in memif:/run/meshgate/memif.sock, behind it "
                          "\",role=client\" and \",id=7\" if need be");
        case DeviceKind::vdev:
            if (!text.empty() && text.find_first_of(" \n") == std::string_view::npos)
                return std::string{text};
            return refuse("a virtual device needs a text without spaces",
                          "write it as DPDK does, such as vdev:net_null0");
    }
    return std::nullopt;
}

}  // namespace

// `wan` and `lan` together are one arm, in either order.
void read_role(const Input& in, Role& out) {
    if (in.node.kind != NodeKind::list) {
        read_choice<Role, kRoles>(in, out);
        return;
    }
    std::vector<Role> roles;
    for (const Input& item : in.items()) {
        const size_t nb_words = kRoles.words.size() - 1;  // the last is the list itself
        std::vector<std::string_view> words;
        for (size_t i = 0; i < nb_words; ++i)
            words.push_back(kRoles.words[i].first);
        const auto chosen = read_word(item, kRoles.noun, kRoles.code, words);
        if (!chosen)
            return;
        if (std::ranges::count(roles, kRoles.words[*chosen].second) != 0) {
            item.complain(kRoles.code, quoted(item.node.text) + " stands here twice").fix =
                "remove one of the two";
            return;
        }
        roles.push_back(kRoles.words[*chosen].second);
    }
    if (!roles.empty())
        out = roles.size() == 1 ? roles.front() : Role::one_arm;
}

void read_interface_name(const Input& in, std::string& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    if (is_interface_name(*text))
        out = *text;
    else
        in.complain("bad-interface", quoted(*text) + " is no name of an interface");
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

}  // namespace meshgate::config
