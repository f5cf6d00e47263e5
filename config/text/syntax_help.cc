// SPDX-License-Identifier: Apache-2.0
#include "config/text/syntax_help.h"

#include <algorithm>

#include "base/address.h"
#include "base/text.h"

namespace meshgate::config {
namespace {

size_t indent_of(std::string_view line) {
    return std::min(line.find_first_not_of(' '), line.size());
}

bool holds_nothing(std::string_view line) {
    const size_t first = line.find_first_not_of(" \t");
    return first == std::string_view::npos || line[first] == '#';
}

Place place_at(unsigned line, size_t offset, size_t len) {
    return Place{.line = line,
                 .column = static_cast<unsigned>(offset) + 1,
                 .length = static_cast<unsigned>(std::max<size_t>(len, 1))};
}

// The last line above that holds something; 0 when there is none.
unsigned line_above(const Report& report, unsigned number) {
    for (unsigned above = number - 1; above > 0; --above)
        if (!holds_nothing(report.line(above)))
            return above;
    return 0;
}

// "[2001:db8::1]:51820" without quotes is a list with something behind it.
bool explain_endpoint(Report& report, const SyntaxError& error) {
    const std::string_view line = report.line(error.place.line);
    for (size_t begin = line.find('['); begin != std::string_view::npos;
         begin = line.find('[', begin + 1)) {
        const size_t end = line.find("]:", begin);
        if (end == std::string_view::npos)
            return false;
        const size_t stop = line.find_first_not_of("0123456789", end + 2);
        const std::string_view text = line.substr(begin, stop - begin);
        if (!parse_endpoint(text))
            continue;
        report
            .error("bad-endpoint", place_at(error.place.line, begin, text.size()), "",
                   "without quotes this is a YAML list, not an address")
            .fix = "write it with quotes: \"" + std::string{text} + "\"";
        return true;
    }
    return false;
}

// Where a quote opens that its line does not close.
std::optional<size_t> unclosed_quote(std::string_view line) {
    bool may_open = true;  // at the start of a word
    for (size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (may_open && c == '#')
            return std::nullopt;
        if (may_open && (c == '"' || c == '\'')) {
            size_t end = line.find(c, i + 1);
            while (c == '"' && end != std::string_view::npos && line[end - 1] == '\\')
                end = line.find(c, end + 1);
            if (end == std::string_view::npos)
                return i;
            i = end;
        }
        may_open = std::string_view{" [{,"}.find(c) != std::string_view::npos;
    }
    return std::nullopt;
}

// Whatever comes behind such a quote is text to YAML, up to the next one.
bool explain_quote(Report& report, const SyntaxError& error) {
    std::string_view rest = report.text();
    for (unsigned number = 1; number <= error.place.line && !rest.empty(); ++number) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        const auto quote = unclosed_quote(line);
        if (!quote)
            continue;
        report
            .error("syntax", place_at(number, *quote, line.size() - *quote), "",
                   "the quote that opens here is not closed in this line")
            .fix = "close it where the value ends";
        return true;
    }
    return false;
}

bool explain_tab(Report& report, const SyntaxError& error) {
    const std::string_view line = report.line(error.place.line);
    const size_t tab = line.substr(0, line.find_first_not_of(" \t")).find('\t');
    if (tab == std::string_view::npos)
        return false;
    report.error("syntax", place_at(error.place.line, tab, 1), "", "a tab in the indentation").fix =
        "indent with spaces only";
    return true;
}

bool explain_alias(Report& report, const SyntaxError& error) {
    const std::string_view line = report.line(error.place.line);
    const size_t at = std::min<size_t>(error.place.column - 1, line.size());
    if (!line.substr(at).starts_with('*') && !line.substr(at).starts_with('&'))
        return false;
    report.error("no-anchors", error.place, "", "anchors and aliases have no place in a box file")
        .fix = "write the value itself; text that begins with * or & needs quotes";
    return true;
}

// A key where none can be: yaml-cpp stands at its colon.
struct StrayKey {
    size_t begin = 0;
    std::string_view word;
    bool first = false;  // nothing but the indentation and a dash is before it
};

std::optional<StrayKey> stray_key(std::string_view line, const Place& place) {
    const size_t colon = std::min<size_t>(place.column - 1, line.size());
    if (colon >= line.size() || line[colon] != ':')
        return std::nullopt;
    size_t begin = colon;
    while (begin > 0 && std::string_view{" [{,"}.find(line[begin - 1]) == std::string_view::npos)
        --begin;
    const bool first = line.substr(0, begin).find_first_not_of(" -") == std::string_view::npos;
    return StrayKey{begin, line.substr(begin, colon - begin), first};
}

// "fd00::" at the end of a line is a key to YAML, as is "tap: eth0".
bool explain_second_colon(Report& report, const SyntaxError& error) {
    const auto key = stray_key(report.line(error.place.line), error.place);
    if (!key || key->first)
        return false;
    const Place place = place_at(error.place.line, key->begin, key->word.size());
    const std::string with_colon = std::string{key->word} + ":";
    if (parse_address(with_colon)) {
        report
            .error("bad-address", place, "",
                   "an IPv6 address that ends in a colon is a key to YAML")
            .fix = "write it with quotes: \"" + with_colon + "\"";
        return true;
    }
    if (error.open_flow)
        return false;
    report.error("syntax", place, "", "a second colon followed by a space in one line").fix =
        "write no space behind the colon (tap:eth0), or put the text in quotes";
    return true;
}

bool explain_flow(Report& report, const SyntaxError& error) {
    if (!error.open_flow)
        return false;
    const std::string_view line = report.line(error.open_flow->line);
    const bool list =
        line.substr(std::min<size_t>(error.open_flow->column - 1, line.size())).starts_with('[');
    report
        .error("syntax", *error.open_flow, "",
               std::string{"this "} + (list ? "[" : "{") + " is not closed as it should be")
        .fix =
        std::string{"put commas between the entries and "} + (list ? "]" : "}") + " at the end";
    return true;
}

// The mistake is in the line above: "name berlin", "name:berlin", or less indented than this one.
bool explain_line_above(Report& report, const SyntaxError& error) {
    const std::string_view line = report.line(error.place.line);
    const unsigned above = line_above(report, error.place.line);
    const auto key = stray_key(line, error.place);
    if (!key || !key->first || above == 0)
        return false;
    const std::string_view text = report.line(above);
    size_t begin = text.find_first_not_of(" -");
    begin = std::min(begin, text.size());
    const std::string_view content = text.substr(begin);
    if (begin > 0 && text[begin - 1] == '-') {
        report
            .error("syntax", place_at(above, begin - 1, 1), "", "there is no space behind the dash")
            .fix = "write it as \"- key: value\"";
        return true;
    }
    const bool has_key = content.find(": ") != std::string_view::npos || content.ends_with(':');
    if (has_key) {
        const size_t indent = indent_of(line);
        report
            .error("syntax", place_at(error.place.line, indent, 1), "",
                   "indented deeper than the line above, which has a value already")
            .fix = "begin it in column " + std::to_string(begin + 1) + ", as the line above";
        return true;
    }
    const bool glued = content.find(':') != std::string_view::npos;
    report
        .error("syntax", place_at(above, begin, content.size()), "",
               glued ? "there is no space behind the colon" : "there is no colon in this line")
        .fix = "write it as \"key: value\", or as \"key:\" before a group";
    return true;
}

bool explain_indentation(Report& report, const SyntaxError& error) {
    const bool end_missing =
        error.message == "end of map not found" || error.message == "end of sequence not found";
    if (!end_missing)
        return false;
    report.error("syntax", error.place, "", "this line fits to none of the lines above").fix =
        "begin it in the same column as the entry that it follows";
    return true;
}

}  // namespace

void explain_syntax(Report& report, const SyntaxError& error) {
    const bool explained = explain_quote(report, error) || explain_endpoint(report, error) ||
                           explain_tab(report, error) || explain_alias(report, error) ||
                           explain_second_colon(report, error) || explain_flow(report, error) ||
                           explain_line_above(report, error) || explain_indentation(report, error);
    if (!explained)
        report.error("syntax", error.place, "", "not YAML: " + printable(error.message)).fix =
            "compare the indentation with the lines above; put text with ': ' or ' #' in quotes";
}

}  // namespace meshgate::config
