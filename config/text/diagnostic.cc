// SPDX-License-Identifier: Apache-2.0
#include "config/text/diagnostic.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"

namespace meshgate::config {
namespace {

constexpr size_t kShownLineLen = 100;

constexpr char kBold[] = "\x1b[1m";
constexpr char kRed[] = "\x1b[1;31m";
constexpr char kYellow[] = "\x1b[1;33m";
constexpr char kGreen[] = "\x1b[32m";
constexpr char kPlain[] = "\x1b[0m";

std::string painted(const std::string& text, const char* paint, Colour colour) {
    return colour == Colour::on ? paint + text + kPlain : text;
}

const char* word_of(Severity severity) {
    return severity == Severity::error ? "error" : "warning";
}

std::string place_of(const std::string& file, const Place& place) {
    const std::string name = printable(file);
    if (place.line == 0)
        return name;
    return name + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

std::string subject_of(const Diagnostic& diagnostic) {
    return diagnostic.path.empty() ? diagnostic.message
                                   : diagnostic.path + ": " + diagnostic.message;
}

bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

size_t width_of(std::string_view text) {
    return static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

struct Window {
    std::string text;
    size_t caret_column = 0;  // from 0, in characters
    size_t caret_len = 1;
};

// The part of a long line that the caret points into.
Window window_of(const std::string& line, const Place& place) {
    const size_t caret = std::min<size_t>(place.column - 1, line.size());
    size_t begin = caret > kShownLineLen * 3 / 4 ? caret - kShownLineLen / 2 : 0;
    while (begin > 0 && is_continuation(line[begin]))
        --begin;
    size_t end = std::min(line.size(), begin + kShownLineLen);
    while (end < line.size() && is_continuation(line[end]))
        ++end;
    const std::string_view all{line};
    const std::string head = begin > 0 ? "..." : "";
    const size_t marked = std::min<size_t>(std::max(place.length, 1U), end - std::min(caret, end));
    return Window{.text = head + line.substr(begin, end - begin) + (end < line.size() ? "..." : ""),
                  .caret_column = head.size() + width_of(all.substr(begin, caret - begin)),
                  .caret_len = std::max<size_t>(width_of(all.substr(caret, marked)), 1)};
}

void append_source(std::string& out, const Diagnostic& diagnostic, Colour colour) {
    if (diagnostic.place.line == 0 || diagnostic.place.column == 0)
        return;
    const Window window = window_of(diagnostic.source_line, diagnostic.place);
    std::string number = std::to_string(diagnostic.place.line);
    number.insert(0, number.size() < 5 ? 5 - number.size() : 0, ' ');
    out += number + " | " + window.text + "\n";
    out += std::string(number.size(), ' ') + " | " + std::string(window.caret_column, ' ');
    out += painted(std::string(window.caret_len, '^'), kGreen, colour) + "\n";
}

std::string counted(size_t count, const char* noun) {
    return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string summary(std::span<const Diagnostic> diagnostics) {
    std::set<std::string_view> files;
    size_t nb_errors = 0;
    for (const Diagnostic& diagnostic : diagnostics) {
        files.insert(diagnostic.file);
        nb_errors += diagnostic.severity == Severity::error ? 1 : 0;
    }
    const size_t nb_warnings = diagnostics.size() - nb_errors;
    std::string out = counted(files.size(), "file");
    if (nb_errors > 0)
        out += ", " + counted(nb_errors, "error");
    if (nb_warnings > 0)
        out += ", " + counted(nb_warnings, "warning");
    return out + (nb_errors > 0 ? ". Nothing was changed.\n" : ".\n");
}

}  // namespace

std::string format_text(const Diagnostic& diagnostic, Colour colour) {
    const bool error = diagnostic.severity == Severity::error;
    const std::string label =
        std::string{word_of(diagnostic.severity)} + "[" + diagnostic.code + "]";
    std::string out = painted(place_of(diagnostic.file, diagnostic.place), kBold, colour) + ": " +
                      painted(label, error ? kRed : kYellow, colour) + ": " +
                      subject_of(diagnostic) + "\n";
    append_source(out, diagnostic, colour);
    if (!diagnostic.suggestion.empty())
        out += "   did you mean:  " + painted(diagnostic.suggestion, kGreen, colour) + "\n";
    if (!diagnostic.allowed.empty())
        out += "   allowed here:  " + joined(diagnostic.allowed, ", ") + "\n";
    if (!diagnostic.fix.empty())
        out += "   fix:  " + diagnostic.fix + "\n";
    for (const Related& related : diagnostic.related)
        out += "   see:  " + place_of(diagnostic.file, related.place) + ": " + related.text + "\n";
    return out;
}

std::string format_text(std::span<const Diagnostic> diagnostics, Colour colour) {
    std::string out;
    for (const Diagnostic& diagnostic : diagnostics)
        out += format_text(diagnostic, colour);
    return diagnostics.empty() ? out : out + summary(diagnostics);
}

std::string format_gcc(std::span<const Diagnostic> diagnostics) {
    std::string out;
    for (const Diagnostic& diagnostic : diagnostics) {
        out += place_of(diagnostic.file, diagnostic.place) + ": " + word_of(diagnostic.severity) +
               ": " + subject_of(diagnostic);
        if (!diagnostic.suggestion.empty())
            out += "; did you mean: " + diagnostic.suggestion;
        else if (!diagnostic.fix.empty())
            out += "; " + diagnostic.fix;
        else if (!diagnostic.allowed.empty())
            out += "; allowed: " + joined(diagnostic.allowed, ", ");
        out += " [" + diagnostic.code + "]\n";
    }
    return out;
}

std::string format_json(std::span<const Diagnostic> diagnostics) {
    using nlohmann::ordered_json;
    ordered_json list = ordered_json::array();
    for (const Diagnostic& diagnostic : diagnostics) {
        ordered_json related = ordered_json::array();
        for (const Related& other : diagnostic.related)
            related.push_back({{"line", other.place.line},
                               {"column", other.place.column},
                               {"length", other.place.length},
                               {"message", other.text}});
        list.push_back({{"code", diagnostic.code},
                        {"severity", word_of(diagnostic.severity)},
                        {"file", printable(diagnostic.file)},
                        {"line", diagnostic.place.line},
                        {"column", diagnostic.place.column},
                        {"length", diagnostic.place.length},
                        {"path", diagnostic.path},
                        {"message", diagnostic.message},
                        {"allowed", diagnostic.allowed},
                        {"suggestion", diagnostic.suggestion},
                        {"fix", diagnostic.fix},
                        {"related", related}});
    }
    return list.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

bool has_errors(std::span<const Diagnostic> diagnostics) noexcept {
    return std::any_of(diagnostics.begin(), diagnostics.end(),
                       [](const Diagnostic& d) { return d.severity == Severity::error; });
}

}  // namespace meshgate::config
