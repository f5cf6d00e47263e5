// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/text/tree.h"

namespace meshgate::cli {

// A scalar as YAML takes it, in quotes where it would be something else without.
std::string yaml_scalar(std::string_view text);
// [a, "b:1"]
std::string yaml_list(const std::vector<std::string>& values);
// A list of maps in block style, `indent` spaces in; lists within them in flow style.
std::string yaml_text(const config::YamlNode& list, size_t indent);

}  // namespace meshgate::cli
