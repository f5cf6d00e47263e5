// SPDX-License-Identifier: Apache-2.0
#include "config/text/diagnostic.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "config/text/report.h"
#include "tests/unit/config/fixture.h"

namespace meshgate::config {
namespace {

std::vector<Diagnostic> one_wrong_role() {
    Report report{"ports:\n  - role: wlan # \xc3\xa9\n", "meshgate.yaml"};
    Diagnostic& diagnostic = report.error("bad-role", Place{.line = 2, .column = 11, .length = 4},
                                          "ports[0].role", "'wlan' is not a role");
    diagnostic.allowed = {"wan", "lan"};
    diagnostic.suggestion = "wlan";
    diagnostic.related.push_back({Place{.line = 1, .column = 1, .length = 1}, "the list"});
    return report.take();
}

TEST(Diagnostics, ShowPlaceSourceCaretAndCure) {
    EXPECT_EQ(format_text(one_wrong_role()),
              "meshgate.yaml:2:11: error[bad-role]: ports[0].role: 'wlan' is not a role\n"
              "    2 |   - role: wlan # \xc3\xa9\n"
              "      |           ^^^^\n"
              "   did you mean:  wlan\n"
              "   allowed here:  wan, lan\n"
              "   see:  meshgate.yaml:1:1: the list\n"
              "1 file, 1 error. Nothing was changed.\n");
}

TEST(Diagnostics, TakeOneLineForEditors) {
    EXPECT_EQ(format_gcc(one_wrong_role()),
              "meshgate.yaml:2:11: error: ports[0].role: 'wlan' is not a role; "
              "did you mean: wlan [bad-role]\n");
}

TEST(Diagnostics, AreAnArrayInJson) {
    const auto list = nlohmann::json::parse(format_json(one_wrong_role()));
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0]["code"], "bad-role");
    EXPECT_EQ(list[0]["severity"], "error");
    EXPECT_EQ(list[0]["file"], "meshgate.yaml");
    EXPECT_EQ(list[0]["line"], 2);
    EXPECT_EQ(list[0]["column"], 11);
    EXPECT_EQ(list[0]["length"], 4);
    EXPECT_EQ(list[0]["path"], "ports[0].role");
    EXPECT_EQ(list[0]["allowed"], (std::vector<std::string>{"wan", "lan"}));
    EXPECT_EQ(list[0]["suggestion"], "wlan");
    EXPECT_EQ(list[0]["related"][0]["line"], 1);
    EXPECT_EQ(nlohmann::json::parse(format_json({})).size(), 0U);
}

TEST(Diagnostics, AreColouredOnlyOnDemand) {
    EXPECT_EQ(format_text(one_wrong_role()).find('\x1b'), std::string::npos);
    EXPECT_NE(format_text(one_wrong_role(), Colour::on).find("\x1b["), std::string::npos);
}

TEST(Diagnostics, SaySomethingOnlyWhenThereIsSomething) {
    EXPECT_EQ(format_text(std::span<const Diagnostic>{}), "");
}

TEST(Diagnostics, PutTheCaretUnderWideCharacters) {
    Report report{"# \xc3\xa9\xc3\xa9 x\n", "f"};
    report.error("c", Place{.line = 1, .column = 8, .length = 1}, "", "m");
    EXPECT_NE(format_text(report.take()).find("      |      ^\n"), std::string::npos);
}

TEST(Diagnostics, CutLongLinesAroundTheCaret) {
    const std::string line = std::string(3000, '-') + "HERE" + std::string(3000, '-');
    Report report{line, "f"};
    report.error("c", Place{.line = 1, .column = 3001, .length = 4}, "", "m");
    const std::string text = format_text(report.take());
    EXPECT_LT(text.size(), 400U);
    EXPECT_NE(text.find("HERE"), std::string::npos);
    EXPECT_NE(text.find("^^^^\n"), std::string::npos);
}

TEST(Diagnostics, HideKeysInTheSourceLine) {
    const std::string secret = kPrivateKey;
    for (const std::string& line :
         {"private_key: " + secret, "x: {preshared_key: \"" + secret + "\", y: 1}",
          secret.substr(0, 43), "name: " + secret + " # public_key"}) {
        Report report{line, "f"};
        report.error("c", Place{.line = 1, .column = 1, .length = 1}, "", "m");
        const auto all = report.take();
        EXPECT_EQ(all[0].source_line.find(secret.substr(0, 20)), std::string::npos) << line;
        EXPECT_EQ(all[0].source_line.size(), line.size());
    }
    const std::string line = std::string{"public_key: "} + kPublicKey;
    Report report{line, "f"};
    report.error("c", Place{.line = 1, .column = 1, .length = 1}, "", "m");
    EXPECT_NE(report.take()[0].source_line.find(kPublicKey), std::string::npos);
}

TEST(Diagnostics, KeepControlCharactersFromTheTerminal) {
    Report report{"a\x1b[2Jb\xe2\x80\xae\xff\n", "f\x1b"};
    report.error("c", Place{.line = 1, .column = 1, .length = 1}, "",
                 quoted("\x1b[2J\xe2\x80\xae"));
    const auto all = report.take();
    for (const std::string& text : {format_text(all), format_gcc(all), format_json(all)}) {
        EXPECT_EQ(text.find('\x1b'), std::string::npos);
        EXPECT_EQ(text.find("\xe2\x80\xae"), std::string::npos);
    }
}

TEST(Diagnostics, AreBounded) {
    Report report{"", "f"};
    for (unsigned i = 0; i < 1000; ++i)
        report.error("c", Place{.line = i + 1, .column = 1, .length = 1}, "", "m").fix = "f";
    EXPECT_TRUE(report.full());
    const auto all = report.take();
    ASSERT_EQ(all.size(), Report::kMaxErrors + 1);
    EXPECT_EQ(all.back().code, "too-many-errors");
}

}  // namespace
}  // namespace meshgate::config
