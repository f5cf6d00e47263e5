// SPDX-License-Identifier: Apache-2.0
#include "config/text/report.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/text.h"

namespace meshgate::config {
namespace {

constexpr size_t kShownValueLen = 64;
constexpr size_t kKeyTextLen = 40;  // of 44: one that lost its end is masked too

bool is_base64(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '/';
}

// A run of base64 as long as a key, with letters of both cases: hardly anything else looks so.
bool looks_like_key(std::string_view run) {
    const auto any = [run](int (*test)(int)) {
        return std::any_of(run.begin(), run.end(),
                           [test](char c) { return test(static_cast<unsigned char>(c)) != 0; });
    };
    return run.size() >= kKeyTextLen && any(std::isupper) && any(std::islower);
}

bool follows_public_key(std::string_view before) {
    while (!before.empty() && std::string_view{" \t'\":"}.find(before.back()) < 5)
        before.remove_suffix(1);
    return before.ends_with("public_key");
}

// Replaces keys other than public ones by asterisks, and what a terminal should not get by '?',
// byte for byte, so that columns stay what they are.
std::string excerpt(std::string_view line) {
    std::string out;
    out.reserve(line.size());
    for (size_t at = 0; at < line.size();) {
        const size_t harmful = find_unprintable(line.substr(at));
        const size_t end = harmful == std::string_view::npos ? line.size() : at + harmful;
        out += line.substr(at, end - at);
        if (end < line.size())
            out += line[end] == '\t' ? ' ' : '?';
        at = end + 1;
    }
    for (size_t at = 0; at < out.size();) {
        size_t end = at;
        while (end < out.size() && is_base64(out[end]))
            ++end;
        const std::string_view all{out};
        if (looks_like_key(all.substr(at, end - at)) && !follows_public_key(all.substr(0, at)))
            std::fill(out.begin() + static_cast<std::ptrdiff_t>(at),
                      out.begin() + static_cast<std::ptrdiff_t>(end), '*');
        at = end + 1;
    }
    return out;
}

}  // namespace

bool holds_key(std::string_view text) {
    return excerpt(text).find("****") != std::string::npos;
}

std::string quoted(std::string_view value) {
    if (holds_key(value))
        return "what looks like a key";
    if (value.size() <= kShownValueLen)
        return "'" + printable(value) + "'";
    size_t end = kShownValueLen;
    while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80)
        --end;
    return "'" + printable(value.substr(0, end)) + "...'";
}

Diagnostic& Report::error(std::string_view code, Place place, std::string path,
                          std::string message) {
    ++nb_errors_;
    return add(Severity::error, code, place, std::move(path), std::move(message));
}

Diagnostic& Report::warning(std::string_view code, Place place, std::string path,
                            std::string message) {
    return add(Severity::warning, code, place, std::move(path), std::move(message));
}

Diagnostic& Report::add(Severity severity, std::string_view code, Place place, std::string path,
                        std::string message) {
    if (diagnostics_.size() >= kMaxErrors) {
        ++nb_beyond_;
        beyond_ = Diagnostic{};
        return beyond_;
    }
    return diagnostics_.emplace_back(Diagnostic{.severity = severity,
                                                .code = std::string{code},
                                                .file = file_,
                                                .place = place,
                                                .path = std::move(path),
                                                .message = std::move(message),
                                                .allowed = {},
                                                .suggestion = {},
                                                .fix = {},
                                                .related = {},
                                                .source_line = excerpt(line(place.line))});
}

bool Report::blames(std::string_view path) const noexcept {
    return std::any_of(diagnostics_.begin(), diagnostics_.end(), [path](const Diagnostic& d) {
        return d.severity == Severity::error && d.path == path;
    });
}

std::string_view Report::line(unsigned number) const noexcept {
    std::string_view rest = text_;
    for (unsigned i = 1; i < number; ++i) {
        const size_t end = rest.find('\n');
        if (end == std::string_view::npos)
            return {};
        rest.remove_prefix(end + 1);
    }
    if (number == 0)
        return {};
    std::string_view found = rest.substr(0, rest.find('\n'));
    if (found.ends_with('\r'))
        found.remove_suffix(1);
    return found;
}

std::vector<Diagnostic> Report::take() {
    std::vector<Diagnostic> all{std::make_move_iterator(diagnostics_.begin()),
                                std::make_move_iterator(diagnostics_.end())};
    diagnostics_.clear();
    std::stable_sort(all.begin(), all.end(), [](const Diagnostic& a, const Diagnostic& b) {
        return std::pair{a.place.line, a.place.column} < std::pair{b.place.line, b.place.column};
    });
    if (full() || nb_beyond_ > 0) {
        Diagnostic more;
        more.severity = full() ? Severity::error : Severity::warning;
        more.code = "too-many-errors";
        more.file = file_;
        more.message = "there is more; the first " + std::to_string(kMaxErrors) + " are shown";
        more.fix = "correct these, then check again";
        all.push_back(std::move(more));
    }
    return all;
}

}  // namespace meshgate::config
