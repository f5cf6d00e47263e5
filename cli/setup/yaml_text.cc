// SPDX-License-Identifier: Apache-2.0
#include "cli/setup/yaml_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace meshgate::cli {
namespace {

using config::NodeKind;
using config::YamlNode;

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '/' || c == '_' || c == '-' || c == '+' || c == '=';
}

std::string flow(const YamlNode& node) {
    if (node.kind == NodeKind::null)
        return "null";
    if (node.kind == NodeKind::scalar)
        return node.quoted ? nlohmann::json(node.text).dump(
                                 -1, ' ', false, nlohmann::json::error_handler_t::replace)
                           : yaml_scalar(node.text);
    const bool map = node.kind == NodeKind::map;
    std::string text;
    for (size_t i = 0; i < node.children.size(); ++i) {
        const bool value = map && i % 2 == 1;
        text += (text.empty() ? "" : value ? ": " : ", ") + flow(node.children[i]);
    }
    return (map ? "{" : "[") + text + (map ? "}" : "]");
}

}  // namespace

std::string yaml_scalar(std::string_view text) {
    const bool plain = !text.empty() && text.front() != '-' && text.front() != '=' &&
                       std::ranges::all_of(text, is_plain);
    // IPv4 endpoints and prefixes stay plain; a colon makes YAML think of a map or of sexagesimals.
    return plain ? std::string{text}
                 : nlohmann::json(text).dump(-1, ' ', false,
                                             nlohmann::json::error_handler_t::replace);
}

std::string yaml_list(const std::vector<std::string>& values) {
    std::string text;
    for (const std::string& value : values)
        text += (text.empty() ? "" : ", ") + yaml_scalar(value);
    return "[" + text + "]";
}

std::string yaml_text(const YamlNode& list, size_t indent) {
    const std::string pad(indent, ' ');
    std::string text;
    for (const YamlNode& entry : list.children) {
        if (entry.kind != NodeKind::map) {
            text += pad + "- " + flow(entry) + "\n";
            continue;
        }
        for (size_t i = 0; i + 1 < entry.children.size(); i += 2)
            text += pad + (i == 0 ? "- " : "  ") + flow(entry.children[i]) + ": " +
                    flow(entry.children[i + 1]) + "\n";
    }
    return text;
}

}  // namespace meshgate::cli
