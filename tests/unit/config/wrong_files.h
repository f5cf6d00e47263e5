// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "config/text/diagnostic.h"

namespace meshgate::config {

// Files that begin with "# expect: LINE:COLUMN CODE, ...": all errors they must give.

using Errors = std::multiset<std::string>;

inline std::vector<std::filesystem::path> files_in(const char* folder) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
}

inline Errors expected_in(const std::string& text) {
    Errors errors;
    std::string head = text.substr(0, text.find('\n'));
    const std::regex one{"(\\d+:\\d+ [a-z0-9-]+)"};
    for (std::sregex_iterator it{head.begin(), head.end(), one}, end; it != end; ++it)
        errors.insert((*it)[1]);
    return errors;
}

inline Errors found_in(std::span<const Diagnostic> diagnostics) {
    Errors errors;
    for (const Diagnostic& diagnostic : diagnostics)
        if (diagnostic.severity == Severity::error)
            errors.insert(std::to_string(diagnostic.place.line) + ":" +
                          std::to_string(diagnostic.place.column) + " " + diagnostic.code);
    return errors;
}

inline void expect_place_and_cure(std::span<const Diagnostic> diagnostics) {
    for (const Diagnostic& diagnostic : diagnostics) {
        const std::string shown = format_text(diagnostic);
        EXPECT_GT(diagnostic.place.line, 0U) << shown;
        EXPECT_GT(diagnostic.place.column, 0U) << shown;
        EXPECT_FALSE(diagnostic.message.empty()) << shown;
        EXPECT_TRUE(!diagnostic.allowed.empty() || !diagnostic.suggestion.empty() ||
                    !diagnostic.fix.empty())
            << shown;
        EXPECT_NE(shown.find('^'), std::string::npos) << shown;
    }
}

inline std::set<std::string> codes_in(std::span<const std::filesystem::path> files,
                                      std::string (*contents)(const std::filesystem::path&)) {
    std::set<std::string> codes;
    for (const auto& path : files)
        for (const std::string& error : expected_in(contents(path)))
            codes.insert(error.substr(error.find(' ') + 1));
    return codes;
}

inline std::string name_of_file(const testing::TestParamInfo<std::filesystem::path>& info) {
    std::string name = info.param.stem().string();
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

}  // namespace meshgate::config
