// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/text/report.h"

namespace meshgate::config {

enum class NodeKind : uint8_t { null, scalar, list, map };

// A YAML value with its place. Not YAML::Node, which hides duplicate keys and, in a file made for
// it, costs far more memory than the file itself.
struct YamlNode {
    NodeKind kind = NodeKind::null;
    bool quoted = false;  // a scalar in quotes or a block scalar
    Place place;
    std::string text;
    std::vector<YamlNode> children;  // of a map: key, value, key, value

    // The value of the first key of that name; null when there is none or this is no map.
    const YamlNode* find(std::string_view key) const noexcept;
    // The key itself.
    const YamlNode* find_key(std::string_view key) const noexcept;
};

// One document, without anchors, aliases and tags, within the limits. Empty when the report got an
// error.
std::optional<YamlNode> parse_tree(Report& report);

}  // namespace meshgate::config
