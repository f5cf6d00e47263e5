// SPDX-License-Identifier: Apache-2.0
// Box files of config_wrong/ and network files of network_wrong/, each with all its errors.

#include <gtest/gtest.h>

#include "config/network.h"
#include "config/text/report.h"
#include "tests/unit/config/fixture.h"
#include "tests/unit/config/wrong_files.h"

namespace meshgate::config {
namespace {

class WrongFile : public testing::TestWithParam<std::filesystem::path> {
protected:
    KeyFolder folder_;
};

TEST_P(WrongFile, GivesExactlyTheErrorsItNames) {
    const std::string text = contents_of(GetParam());
    const LoadResult result = folder_.load(text);
    ASSERT_FALSE(expected_in(text).empty());
    EXPECT_FALSE(result.model.has_value());
    EXPECT_EQ(found_in(result.diagnostics), expected_in(text)) << explain(result);
}

TEST_P(WrongFile, IsToldPlaceAndCureOfEachError) {
    expect_place_and_cure(folder_.load(contents_of(GetParam())).diagnostics);
}

TEST_P(WrongFile, NeverShowsASecret) {
    const LoadResult result = folder_.load(contents_of(GetParam()));
    const std::string all = format_text(result.diagnostics) + format_gcc(result.diagnostics) +
                            format_json(result.diagnostics);
    EXPECT_EQ(all.find(kPrivateKey), std::string::npos);
    EXPECT_EQ(all.find("AQIDBAUGBwgJ"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Config, WrongFile, testing::ValuesIn(files_in(MESHGATE_WRONG_FILES)),
                         name_of_file);

TEST(WrongFiles, AreFortyAtLeastAndCoverTheCodes) {
    const auto files = files_in(MESHGATE_WRONG_FILES);
    EXPECT_GE(files.size(), 40U);
    EXPECT_GE(codes_in(files, contents_of).size(), 50U);
}

class WrongNetwork : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(WrongNetwork, GivesExactlyTheErrorsItNames) {
    const std::string text = contents_of(GetParam());
    const NetworkResult result = parse_network(text, "network.yaml");
    ASSERT_FALSE(expected_in(text).empty());
    EXPECT_FALSE(result.network.has_value());
    EXPECT_EQ(found_in(result.diagnostics), expected_in(text)) << format_text(result.diagnostics);
}

TEST_P(WrongNetwork, IsToldPlaceAndCureOfEachError) {
    const std::string text = contents_of(GetParam());
    const NetworkResult result = parse_network(text, "network.yaml");
    expect_place_and_cure(result.diagnostics);
    const std::string all = format_text(result.diagnostics);
    EXPECT_EQ(all.find("box file "), std::string::npos) << "it is none:\n" << all;
    EXPECT_EQ(all.find("AQIDBAUGBwgJ"), std::string::npos) << all;
}

INSTANTIATE_TEST_SUITE_P(Config, WrongNetwork, testing::ValuesIn(files_in(MESHGATE_WRONG_NETWORKS)),
                         name_of_file);

TEST(WrongNetworks, CoverTheCodes) {
    const auto files = files_in(MESHGATE_WRONG_NETWORKS);
    EXPECT_GE(files.size(), 60U);
    EXPECT_GE(codes_in(files, contents_of).size(), 28U);
}

}  // namespace
}  // namespace meshgate::config
