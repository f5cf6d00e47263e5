// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/diff.h"
#include "config/input.h"
#include "config/model.h"

namespace meshgate::config {

enum class Count : uint8_t { required, optional };

// One key of the box file. The parser, the defaults, the did-you-mean, the reference and the diff
// all go by these rows: adding a key is adding a row.
struct KeyRule {
    std::string_view group;
    std::string_view name;
    Count count;
    std::string_view fallback;  // as the user would write it; empty: none
    Reload reload;
    std::string_view words;  // what is allowed
    // Of a list of groups, reads into the last element.
    void (*read)(const Input& in, Model& model);
    std::string (*show)(const Model& model, size_t index);
    std::string_view text;
};

// One of the sections at the top of the file.
struct GroupRule {
    std::string_view name;
    Count count;
    bool list;
    void (*grow)(Model& model);  // lists only: adds an element
    std::string_view text;
};

std::span<const GroupRule> groups() noexcept;
std::span<const KeyRule> keys() noexcept;
std::span<const KeyRule> keys_of(std::string_view group) noexcept;

}  // namespace meshgate::config
