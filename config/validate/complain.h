// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "config/schema/bind.h"
#include "config/text/input.h"
#include "config/text/report.h"

namespace meshgate::config {

// For rules between values: the place comes from the tree, only when there is something to say.
class Complainer {
public:
    Complainer(const YamlNode& root, Report& report) : root_{root}, report_{report} {}

    Diagnostic& error(std::string_view code, const Path& path, std::string message) const {
        return report_.error(code, node_at(root_, path).place, path.str(), std::move(message));
    }
    Diagnostic& warning(std::string_view code, const Path& path, std::string message) const {
        return report_.warning(code, node_at(root_, path).place, path.str(), std::move(message));
    }
    Related related(const Path& path, std::string text) const {
        return {node_at(root_, path).place, std::move(text)};
    }
    // The value at `path` was given and is good.
    bool sound(const Path& path) const { return !report_.blames(path.str()); }
    bool given(const Path& path) const {
        const YamlNode& group = node_at(root_, Path{.group = path.group, .index = path.index});
        return group.find(path.key) != nullptr;
    }
    bool any_error() const noexcept { return report_.has_errors(); }
    bool full() const noexcept { return report_.full(); }

private:
    const YamlNode& root_;
    Report& report_;
};

}  // namespace meshgate::config
