// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/text.h"
#include "cli/table.h"

namespace meshgate::cli {

// Members of an answer as words of a table. A member of another type than it should have makes
// nlohmann::json throw.

inline std::string text_of(const nlohmann::ordered_json& value) {
    return value.is_null() ? "-" : printable(value.get<std::string>());
}

inline uint64_t number_of(const nlohmann::ordered_json& value) {
    return value.get<uint64_t>();
}

inline std::string number_or_dash(const nlohmann::ordered_json& value) {
    return value.is_null() ? "-" : std::to_string(number_of(value));
}

inline std::string joined(const nlohmann::ordered_json& array) {
    std::string out;
    for (const nlohmann::ordered_json& each : array)
        out += (out.empty() ? "" : ", ") + text_of(each);
    return out.empty() ? "-" : out;
}

inline std::string decimal(double value, const char* format) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), format, value);
    return text.data();
}

inline std::string milliseconds(const nlohmann::ordered_json& value) {
    return value.is_null() ? "-" : decimal(value.get<double>(), "%.1f ms");
}

// "1340 (probe)", or the number alone where it is the port's own.
inline std::string mtu_text(const nlohmann::ordered_json& path) {
    const std::string size = std::to_string(number_of(path.at("mtu_bytes")));
    const std::string origin = text_of(path.at("mtu_origin"));
    return origin == "port" ? size : size + " (" + origin + ")";
}

// Probes come several times a second, so what was heard just now has tenths.
inline std::string age(const nlohmann::ordered_json& value) {
    if (value.is_null())
        return "never";
    const double age_s = value.get<double>();
    return age_s < 10 ? decimal(age_s, "%.1f s") : human_duration(static_cast<int64_t>(age_s));
}

// A diagnostic has several lines.
inline std::string printable_lines(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        out += printable(text.substr(0, end)) + "\n";
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

}  // namespace meshgate::cli
