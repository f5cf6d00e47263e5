// SPDX-License-Identifier: Apache-2.0
// Files made to hurt: each must be refused in little time and memory.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/unit/config/fixture.h"
#include "tests/unit/config/hostile_files.h"

namespace meshgate::config {
namespace {

// Of each begun MiB.
constexpr double kMaxMilliseconds = kSanitized ? 2000 : 100;
constexpr long kMaxKibibytes = kSanitized ? 512 * 1024 : 16 * 1024;

long mebibytes(const std::string& text) {
    return static_cast<long>(text.size() >> 20) + 1;
}

long peak_kibibytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

std::string staircase() {
    std::string out;
    for (size_t i = 0; i < 1400; ++i)
        out += std::string(i, ' ') + "a:\n";
    return out;
}

class HostileFile : public testing::TestWithParam<Hostile> {};

TEST_P(HostileFile, IsRefusedInLittleTimeAndMemory) {
    const KeyFolder folder;
    folder.load(kGoodFile);  // what the first load of all allocates is not this file's fault
    const long before_kib = peak_kibibytes();
    const double before_ms = cpu_milliseconds();
    const LoadResult result = folder.load(GetParam().text);
    const long len = mebibytes(GetParam().text);
    EXPECT_LE(cpu_milliseconds() - before_ms, kMaxMilliseconds * static_cast<double>(len));
    EXPECT_LE(peak_kibibytes() - before_kib, kMaxKibibytes * len);
    ASSERT_FALSE(result.diagnostics.empty());
    EXPECT_FALSE(result.model.has_value());
    EXPECT_EQ(result.diagnostics[0].code, GetParam().code) << format_text(result.diagnostics[0]);
    EXPECT_LE(result.diagnostics.size(), 101U);
    for (const Diagnostic& diagnostic : result.diagnostics)
        EXPECT_TRUE(!diagnostic.fix.empty() || !diagnostic.allowed.empty() ||
                    !diagnostic.suggestion.empty())
            << format_text(diagnostic);
}

std::vector<Hostile> hostile_files() {
    using namespace std::string_literals;
    return {
        {"nested_lists", repeated("[\n", 20'000), "too-deep"},
        {"nested_maps", repeated("{a: \n", 50'000), "too-deep"},
        {"nested_lists_in_a_line", repeated("[", 10'000), "line-too-long"},
        {"nested_lists_of_the_longest_line", repeated("[", 8'192), "too-deep"},
        {"nested_dashes", repeated("- ", 8'192), "too-deep"},
        {"nested_question_marks", repeated("? ", 8'192), "too-deep"},
        {"staircase", staircase(), "too-deep"},
        {"alias_bomb", "a: &a [x, x]\n" + numbered("b", ": &b [*a, *a, *a, *a]\n", kMaxFileBytes),
         "no-anchors"},
        {"many_keys", numbered("k", ":\n", kMaxFileBytes), "too-large"},
        {"duplicate_keys", repeated("a:\n", kMaxFileBytes), "too-large"},
        {"unknown_keys", numbered("a", ": bbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n", kMaxFileBytes),
         "too-large"},
        {"endless_line", repeated("a", kMaxFileBytes), "line-too-long"},
        {"endless_word", repeated("a\n", kMaxFileBytes), "too-large"},
        {"endless_quotes", "\"" + repeated("a\n", kMaxFileBytes - 1), "too-large"},
        {"endless_block", "a: |\n" + repeated(" b\n", kMaxFileBytes - 5), "too-large"},
        {"endless_comment", repeated("# c\n", kMaxFileBytes), "too-large"},
        {"blank_lines", repeated("\n", kMaxFileBytes), "too-large"},
        {"documents", repeated("---\n", kMaxFileBytes), "many-documents"},
        {"directives", repeated("%YAML 1.2\n", kMaxFileBytes), "syntax"},
        {"tags", repeated("- !a b\n", kMaxFileBytes), "no-tags"},
        {"too_large", repeated("# c\n", kMaxFileBytes) + "log: {}\n", "too-large"},
        {"zero_bytes", std::string(1000, '\0'), "bad-character"},
        {"zero_byte_in_a_name", "node: {name: \"a\\0b\"}\n"s, "bad-character"},
        {"escape_character", "node: {name: \x1b[2J}\n", "bad-character"},
        {"not_utf8", "node: {name: \xc3\x28}\n", "bad-character"},
        {"byte_order_mark", "\xef\xbb\xbfnode: {}\n", "encoding"},
        {"utf16", "\xff\xfen\0o\0d\0e\0"s, "encoding"},
    };
}

std::string name_of(const testing::TestParamInfo<Hostile>& info) {
    return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Config, HostileFile, testing::ValuesIn(hostile_files()), name_of);

TEST(HostileFiles, ManyOverlapsTakeNoLongTime) {
    const KeyFolder folder;
    std::string text = std::string{kGoodFile} + "peers:\n";
    for (unsigned i = 0; i < 5000; ++i) {
        PublicKey key;
        key.bytes[0] = static_cast<uint8_t>(i);
        key.bytes[1] = static_cast<uint8_t>((i >> 8) + 16);
        text += "- {name: p" + std::to_string(i) + ", public_key: " + to_string(key) +
                ", allowed_ips: 10.9.0.0/24}\n";
    }
    const double before_ms = cpu_milliseconds();
    const LoadResult result = folder.load(text);
    EXPECT_LE(cpu_milliseconds() - before_ms, 4 * kMaxMilliseconds);
    EXPECT_EQ(result.diagnostics.size(), 101U);
    EXPECT_EQ(result.diagnostics[0].code, "prefix-overlap");
}

TEST(HostileFiles, NamesDoNotReachTheTerminalRaw) {
    const KeyFolder folder;
    const LoadResult result = folder.load(
        std::string{kGoodFile} + "\"<script>\\e[2J\\u202e\": 1\nlog: {level: \"\\x1b\"}\n");
    const std::string all = format_text(result.diagnostics) + format_gcc(result.diagnostics) +
                            format_json(result.diagnostics);
    EXPECT_EQ(all.find('\x1b'), std::string::npos);
    EXPECT_EQ(all.find("\xe2\x80\xae"), std::string::npos);
}

}  // namespace
}  // namespace meshgate::config
