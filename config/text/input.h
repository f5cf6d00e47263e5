// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/text/report.h"
#include "config/text/tree.h"

namespace meshgate::config {

// Where a value stands: ports[0].addresses[1]. Text only once it is needed.
struct Path {
    std::string_view group;
    int index = -1;  // of a list of groups
    std::string_view key;
    int item = -1;  // of a list of values

    std::string str() const;
};

// One value on its way into the model.
struct Input {
    const YamlNode& node;
    Path path;
    Report& report;
    const std::string& base_dir;
    std::string_view allowed;  // what the table of keys promises

    // Complains at this value. What is allowed stands in it already.
    Diagnostic& complain(std::string_view code, std::string message) const;
    // The text of a scalar; otherwise complains that it is missing, or a list.
    std::optional<std::string_view> scalar() const;
    // As scalar(), and refuses quotes: numbers and booleans.
    std::optional<std::string_view> bare_scalar() const;
    // The entries of a list, or the one scalar in place of it.
    std::vector<Input> items() const;
};

}  // namespace meshgate::config
