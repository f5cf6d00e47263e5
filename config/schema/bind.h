// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "config/model.h"
#include "config/text/input.h"
#include "config/text/tree.h"

namespace meshgate::config {

// Reads the tree into a model by the table of keys: unknown, missing and duplicate keys, types,
// defaults. Each value for itself; what values say about one another is for validate.h. Where the
// report got an error the model holds an empty value, so that positions stay those of the file.
Model bind(const YamlNode& root, Report& report, const std::string& base_dir);

// The node that `path` leads to; the nearest one above it when there is none.
const YamlNode& node_at(const YamlNode& root, const Path& path);

}  // namespace meshgate::config
