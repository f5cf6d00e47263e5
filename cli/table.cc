// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/text.h"

namespace meshgate::cli {
namespace {

// Characters, not bytes: what a terminal shows of text without wide or combining characters.
size_t width_of(std::string_view text) {
    return static_cast<size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string Table::text() const {
    std::vector<std::vector<std::string>> cells;
    std::vector<size_t> widths(rows_.front().size(), 0);
    for (const auto& row : rows_) {
        auto& line = cells.emplace_back();
        for (size_t i = 0; i < std::min(row.size(), widths.size()); ++i) {
            line.push_back(printable(row[i]));
            widths[i] = std::max(widths[i], width_of(line.back()));
        }
    }
    std::string out;
    for (const auto& line : cells) {
        for (size_t i = 0; i < line.size(); ++i) {
            out += line[i];
            if (i + 1 < line.size())
                out.append(widths[i] - width_of(line[i]) + 2, ' ');
        }
        out.erase(out.find_last_not_of(' ') + 1);
        out += '\n';
    }
    return out;
}

std::string human_bytes(uint64_t bytes) {
    constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    auto value = static_cast<double>(bytes);
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
    return text.data();
}

std::string human_count(uint64_t count) {
    std::string text = std::to_string(count);
    for (size_t i = text.size(); i > 3; i -= 3)
        text.insert(i - 3, " ");
    return text;
}

std::string human_duration(int64_t duration_s) {
    const int64_t s = std::max<int64_t>(duration_s, 0);
    const auto two = [](int64_t a, const char* unit_a, int64_t b, const char* unit_b) {
        std::string text = std::to_string(a) + unit_a;
        return b == 0 ? text : text + " " + std::to_string(b) + unit_b;
    };
    if (s < 60)
        return two(s, " s", 0, "");
    if (s < 3600)
        return two(s / 60, " min", s % 60, " s");
    if (s < 86400)
        return two(s / 3600, " h", s % 3600 / 60, " min");
    return two(s / 86400, " d", s % 86400 / 3600, " h");
}

std::string human_age(int64_t unix_s, int64_t now_unix_s) {
    return unix_s == 0 ? "-" : human_duration(now_unix_s - unix_s);
}

}  // namespace meshgate::cli
