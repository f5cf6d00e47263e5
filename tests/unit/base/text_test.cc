// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>

#include <array>

namespace meshgate {
namespace {

TEST(Printable, LeavesTextOfAllLanguages) {
    EXPECT_EQ(printable("berlin"), "berlin");
    EXPECT_EQ(printable("K\u00f6ln \u6771\u4eac \U0001F5FC"), "K\u00f6ln \u6771\u4eac \U0001F5FC");
}

TEST(Printable, EscapesWhatMovesTheCursor) {
    EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
    EXPECT_EQ(printable("a\nb\rc\td\x7f"), "a\\x0ab\\x0dc\\x09d\\x7f");
    EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
    EXPECT_EQ(printable("\u009b31m"), "\\xc2\\x9b31m");       // CSI as one C1 character
    EXPECT_EQ(printable("\u202etxt"), "\\xe2\\x80\\xaetxt");  // right-to-left override
    EXPECT_EQ(printable("a\u2028b"), "a\\xe2\\x80\\xa8b");
}

TEST(Printable, EscapesBytesThatAreNotUtf8) {
    EXPECT_EQ(printable("\xff"), "\\xff");
    EXPECT_EQ(printable("\xc3"), "\\xc3");                             // cut
    EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");                    // overlong
    EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // surrogate
    EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
}

TEST(ClosestWord, FindsTyposAndNothingElse) {
    constexpr std::array<std::string_view, 4> kWords = {"peers", "ports", "routes", "workers"};
    EXPECT_EQ(closest_word("peer", kWords), "peers");
    EXPECT_EQ(closest_word("prots", kWords), "ports");
    EXPECT_EQ(closest_word("rotues", kWords), "routes");
    EXPECT_EQ(closest_word("wokers", kWords), "workers");
    EXPECT_EQ(closest_word("flux-capacitor", kWords), "");
    EXPECT_EQ(closest_word("", kWords), "");
    EXPECT_EQ(closest_word(std::string(100000, 'p'), kWords), "");
}

}  // namespace
}  // namespace meshgate
