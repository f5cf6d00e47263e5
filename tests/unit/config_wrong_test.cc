// SPDX-License-Identifier: Apache-2.0
// Each file of config_wrong/ begins with "# expect: LINE:COLUMN CODE, ...": all errors it must
// give.

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "config/report.h"
#include "tests/unit/config_fixture.h"

namespace meshgate::config {
namespace {

using Errors = std::multiset<std::string>;

std::vector<std::filesystem::path> wrong_files() {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(MESHGATE_WRONG_FILES))
        paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
}

Errors expected_in(const std::string& text) {
    Errors errors;
    std::string head = text.substr(0, text.find('\n'));
    const std::regex one{"(\\d+:\\d+ [a-z0-9-]+)"};
    for (std::sregex_iterator it{head.begin(), head.end(), one}, end; it != end; ++it)
        errors.insert((*it)[1]);
    return errors;
}

Errors found_in(const LoadResult& result) {
    Errors errors;
    for (const Diagnostic& diagnostic : result.diagnostics)
        if (diagnostic.severity == Severity::error)
            errors.insert(std::to_string(diagnostic.place.line) + ":" +
                          std::to_string(diagnostic.place.column) + " " + diagnostic.code);
    return errors;
}

class WrongFile : public testing::TestWithParam<std::filesystem::path> {
protected:
    KeyFolder folder_;
};

TEST_P(WrongFile, GivesExactlyTheErrorsItNames) {
    const std::string text = contents_of(GetParam());
    const LoadResult result = folder_.load(text);
    ASSERT_FALSE(expected_in(text).empty());
    EXPECT_FALSE(result.model.has_value());
    EXPECT_EQ(found_in(result), expected_in(text)) << explain(result);
}

TEST_P(WrongFile, IsToldPlaceAndCureOfEachError) {
    const std::string text = contents_of(GetParam());
    const LoadResult result = folder_.load(text);
    for (const Diagnostic& diagnostic : result.diagnostics) {
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

TEST_P(WrongFile, NeverShowsASecret) {
    const LoadResult result = folder_.load(contents_of(GetParam()));
    const std::string all = format_text(result.diagnostics) + format_gcc(result.diagnostics) +
                            format_json(result.diagnostics);
    EXPECT_EQ(all.find(kPrivateKey), std::string::npos);
    EXPECT_EQ(all.find("AQIDBAUGBwgJ"), std::string::npos);
}

std::string name_of(const testing::TestParamInfo<std::filesystem::path>& info) {
    std::string name = info.param.stem().string();
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Config, WrongFile, testing::ValuesIn(wrong_files()), name_of);

TEST(WrongFiles, AreFortyAtLeastAndCoverTheCodes) {
    std::set<std::string> codes;
    for (const auto& path : wrong_files())
        for (const std::string& error : expected_in(contents_of(path)))
            codes.insert(error.substr(error.find(' ') + 1));
    EXPECT_GE(wrong_files().size(), 40U);
    EXPECT_GE(codes.size(), 50U);
}

}  // namespace
}  // namespace meshgate::config
