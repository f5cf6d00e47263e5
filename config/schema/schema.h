// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "config/diff.h"
#include "config/text/input.h"

namespace meshgate::config {

enum class Count : uint8_t { required, optional };

// One key of a kind of file. The parser, the defaults, the did-you-mean, the reference and the diff
// all go by these rows: adding a key is adding a row.
template <typename Document>
struct KeyRuleOf {
    std::string_view group;  // empty: a key of the file itself
    std::string_view name;
    Count count;
    std::string_view fallback;  // as the user would write it; empty: none
    Reload reload;
    std::string_view words;  // what is allowed
    // Of a list of groups, reads into the last element.
    void (*read)(const Input& in, Document& document);
    std::string (*show)(const Document& document, size_t index);
    std::string_view text;
};

enum class Shape : uint8_t {
    section,   // its defaults hold where it is left out
    presence,  // a section that is there or not: without it no key of it is asked for
    list,
};

// One of the sections at the top of a file.
template <typename Document>
struct GroupRuleOf {
    std::string_view name;
    Count count;
    Shape shape;
    void (*grow)(Document& document);  // lists only: adds an element
    std::string_view text;
};

// A kind of file: its sections, its keys in the order of the sections, and what it says of keys
// that are at home elsewhere.
template <typename Document>
struct Schema {
    std::span<const GroupRuleOf<Document>> groups;
    std::span<const KeyRuleOf<Document>> keys;
    // Complains about a key at the top that belongs elsewhere; false: it is simply unknown.
    bool (*refuse_elsewhere)(Report& report, const YamlNode& key, const std::string& path);
    std::string_view begin_with;  // the cure for a file that is no group of keys

    std::span<const KeyRuleOf<Document>> keys_of(std::string_view group) const {
        const auto in_group = [group](const auto& rule) { return rule.group == group; };
        const auto begin = std::find_if(keys.begin(), keys.end(), in_group);
        return {begin, std::find_if_not(begin, keys.end(), in_group)};
    }
};

}  // namespace meshgate::config
