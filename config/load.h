// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/keys.h"
#include "base/result.h"
#include "config/model.h"
#include "config/text/diagnostic.h"
#include "config/text/report.h"

namespace meshgate::config {

constexpr size_t kMaxFileBytes = kBoxFile.max_bytes;  // a box file
constexpr unsigned kMaxDepth = 32;                    // of nesting in a YAML file

// A model when there is no error; diagnostics may hold warnings beside it.
struct LoadResult {
    std::optional<Model> model;
    std::vector<Diagnostic> diagnostics;  // by place

    explicit operator bool() const noexcept { return model.has_value(); }
};

// Reads and checks a box file and the key files that it names. Needs no privilege beyond reading
// them. `path` stands in the diagnostics as given.
LoadResult load_file(const std::string& path);
// The same for text at hand; relative key files are looked for in `base_dir`.
LoadResult load_text(std::string_view text, const std::string& file_name,
                     const std::string& base_dir);

// Reads a key file as `wg genkey` or `wg genpsk` writes it. Refuses what is no regular file, is
// readable by group or others, is too long, or is no key. Never quotes the contents.
Result<SecretKey> load_secret_key(const std::string& path);

// docs/configure.md: every key of both files, from the tables that also drive the parser.
std::string reference_markdown();

}  // namespace meshgate::config
