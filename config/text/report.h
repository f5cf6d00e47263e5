// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "config/text/diagnostic.h"

namespace meshgate::config {

// True when some part of it looks like a key, whether public or secret.
bool holds_key(std::string_view text);
// A value as a message may show it: printable, short, in quotes; never what looks like a key.
std::string quoted(std::string_view value);

// What differs between the kinds of files that we read: names for messages, and bounds.
struct FileKind {
    std::string_view noun;  // with its article
    size_t max_bytes;
    size_t max_nodes;
    std::string_view too_many_nodes;  // the cure
};

inline constexpr FileKind kBoxFile{
    "a box file", size_t{8} << 20, 400'000,  // 16 384 peers, each with all its keys, have 250 000
    "split the site: no box serves that many peers and networks from one file"};

// Collects what is wrong with one file. Bounded: a hostile file makes no hostile report.
class Report {
public:
    static constexpr size_t kMaxErrors = 100;  // in one report; reading ends with the last

    // `text` must outlive the report.
    Report(std::string_view text, std::string file, const FileKind& kind = kBoxFile)
        : text_{text}, file_{std::move(file)}, kind_{kind} {}

    // The reference holds until take(); whoever complains adds the cure.
    Diagnostic& error(std::string_view code, Place place, std::string path, std::string message);
    Diagnostic& warning(std::string_view code, Place place, std::string path, std::string message);

    bool has_errors() const noexcept { return nb_errors_ > 0; }
    // Looking further is a waste of time.
    bool full() const noexcept { return nb_errors_ >= kMaxErrors; }
    // True when an error stands at `path` already: what is built on that value is not worth
    // telling.
    bool blames(std::string_view path) const noexcept;

    std::string_view text() const noexcept { return text_; }
    const FileKind& kind() const noexcept { return kind_; }
    // Without the line break; empty when there is no such line.
    std::string_view line(unsigned number) const noexcept;
    // All, by place.
    std::vector<Diagnostic> take();

private:
    Diagnostic& add(Severity severity, std::string_view code, Place place, std::string path,
                    std::string message);

    std::string_view text_;
    std::string file_;
    const FileKind& kind_;
    std::deque<Diagnostic> diagnostics_;
    Diagnostic beyond_;  // takes what is not kept
    size_t nb_errors_ = 0;
    size_t nb_beyond_ = 0;
};

}  // namespace meshgate::config
