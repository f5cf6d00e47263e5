// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace meshgate::config {

enum class Severity : uint8_t { warning, error };

// Counted from 1, columns in bytes. Line 0: the file as a whole.
struct Place {
    unsigned line = 0;
    unsigned column = 0;
    unsigned length = 1;
};

struct Related {
    Place place;
    std::string text;
};

// One thing wrong with a box file: where, why, and what would be accepted. All text is printable
// UTF-8 and holds no key but public ones, so that it may go to a terminal or a log as it is.
struct Diagnostic {
    Severity severity = Severity::error;
    std::string code;  // stable: "unknown-key"
    std::string file;
    Place place;
    std::string path;  // "ports[0].role"; empty: the file as a whole
    std::string message;
    std::vector<std::string> allowed;
    std::string suggestion;  // did you mean
    std::string fix;
    std::vector<Related> related;
    std::string source_line;
};

enum class Colour : uint8_t { off, on };

// The long form: place and message, source line, caret, cure.
std::string format_text(const Diagnostic& diagnostic, Colour colour = Colour::off);
// All of them, then "1 file, 3 errors. Nothing was changed."
std::string format_text(std::span<const Diagnostic> diagnostics, Colour colour = Colour::off);
// One line each, for editors: "FILE:LINE:COLUMN: error: TEXT [code]".
std::string format_gcc(std::span<const Diagnostic> diagnostics);
// An array of {code, severity, file, line, column, length, path, message, allowed, suggestion, fix,
// related}.
std::string format_json(std::span<const Diagnostic> diagnostics);

bool has_errors(std::span<const Diagnostic> diagnostics) noexcept;

}  // namespace meshgate::config
