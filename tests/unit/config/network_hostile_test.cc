// SPDX-License-Identifier: Apache-2.0
// Network files that are large, and ones that are made to hurt.

#include <gtest/gtest.h>

#include <cstdio>

#include "config/network_file.h"
#include "config/text/report.h"
#include "tests/unit/config/fixture.h"
#include "tests/unit/config/hostile_files.h"

namespace meshgate::config {
namespace {

constexpr double kSlow = kSanitized ? 10 : 1;

std::string key_number(unsigned number) {
    PublicKey key;
    key.bytes[0] = static_cast<uint8_t>(number);
    key.bytes[1] = static_cast<uint8_t>(number >> 8);
    key.bytes[2] = static_cast<uint8_t>(number >> 16);
    key.bytes[9] = 1;
    return to_string(key);
}

std::string large_network(unsigned nb_members) {
    std::string text = "version: 1\nname: large\nmembers:\n";
    for (unsigned i = 0; i < nb_members; ++i) {
        char prefix[64];
        std::snprintf(prefix, sizeof prefix, "10.%u.%u.0/24, \"fd00:%x::/32\"", i / 256, i % 256,
                      i);
        const std::string number = std::to_string(i);
        text += "  - name: site-" + number + "\n    public_key: " + key_number(i) +
                "\n    prefixes: [" + prefix + "]\n    endpoints: [gw" + number +
                ".example.net:51820, 198.51.100.7:" + std::to_string(1024 + i) +
                "]\n    relay: true\n    tags: [office]\n";
    }
    text += "clients:\n";
    for (unsigned i = 0; i < nb_members; ++i) {
        char address[64];
        std::snprintf(address, sizeof address, "172.16.%u.%u", i / 256, i % 256);
        text += "  - {name: client-" + std::to_string(i) +
                ", public_key: " + key_number(nb_members + i) + ", address: " + address +
                ", boxes: [site-" + std::to_string(i) + "]}\n";
    }
    return text;
}

TEST(LargeNetwork, OfTenThousandMembersIsReadInAHundredMillisecondsAMiB) {
    constexpr unsigned kMembers = 10'000;
    const std::string text = large_network(kMembers);
    ASSERT_LE(text.size(), kMaxNetworkBytes);
    const double before_ms = cpu_milliseconds();
    const NetworkResult result = parse_network(text, "network.yaml", AuthorityKey{});
    const double took_ms = cpu_milliseconds() - before_ms;
    ASSERT_TRUE(result.network.has_value()) << format_text(result.diagnostics);
    EXPECT_EQ(result.network->members.size(), kMembers);
    EXPECT_LT(took_ms, 100 * kSlow * static_cast<double>(text.size()) / (1 << 20));
    std::printf("%u members and as many clients, %zu bytes: %.0f ms\n", kMembers, text.size(),
                took_ms);
    const double diff_before_ms = cpu_milliseconds();
    EXPECT_TRUE(diff(*result.network, *result.network).empty());
    EXPECT_LT(cpu_milliseconds() - diff_before_ms, 500 * kSlow);
}

TEST(LargeNetwork, FullOfOverlapsIsRefusedInLittleTime) {
    std::string text = "version: 1\nname: large\nmembers:\n";
    for (unsigned i = 0; i < 10'000; ++i)
        text += "  - {name: m" + std::to_string(i) + ", public_key: " + key_number(i) +
                ", prefixes: [10.0.0.0/8, 10.1.0.0/16], endpoints: gw:1}\n";
    const double before_ms = cpu_milliseconds();
    const NetworkResult result = parse_network(text, "network.yaml");
    EXPECT_LT(cpu_milliseconds() - before_ms, 2000 * kSlow);
    EXPECT_EQ(result.diagnostics.size(), Report::kMaxErrors + 1);
    EXPECT_EQ(result.diagnostics[0].code, "prefix-overlap");
}

TEST(LargeNetwork, FullOfUnknownNamesIsRefusedInLittleTime) {
    std::string text = large_network(5'000);
    for (size_t at = 0; (at = text.find("boxes: [site-", at)) != std::string::npos; at += 8)
        text.replace(at, 13, "boxes: [cite-");
    const double before_ms = cpu_milliseconds();
    const NetworkResult result = parse_network(text, "network.yaml");
    EXPECT_LT(cpu_milliseconds() - before_ms, 2000 * kSlow);
    ASSERT_FALSE(result.diagnostics.empty());
    EXPECT_EQ(result.diagnostics[0].code, "no-such-member");
    EXPECT_TRUE(result.diagnostics[0].suggestion.starts_with("site-"));
}

class HostileNetwork : public testing::TestWithParam<Hostile> {};

TEST_P(HostileNetwork, IsRefusedInLittleTime) {
    const double before_ms = cpu_milliseconds();
    const NetworkResult result = parse_network(GetParam().text, "network.yaml");
    EXPECT_LE(cpu_milliseconds() - before_ms, 2000 * kSlow);
    ASSERT_FALSE(result.diagnostics.empty());
    EXPECT_FALSE(result.network.has_value());
    EXPECT_EQ(result.diagnostics[0].code, GetParam().code) << format_text(result.diagnostics[0]);
    EXPECT_LE(result.diagnostics.size(), Report::kMaxErrors + 1);
    std::string all = format_text(result.diagnostics) + format_gcc(result.diagnostics) +
                      format_json(result.diagnostics);
    EXPECT_EQ(all.find('\x1b'), std::string::npos);
    EXPECT_EQ(all.find('\0'), std::string::npos);
    EXPECT_EQ(all.find("\xe2\x80\xae"), std::string::npos);
}

std::vector<Hostile> hostile_files() {
    using namespace std::string_literals;
    const std::string head = "version: 1\nname: a\nmembers:\n";
    return {
        {"empty", "", "missing-key"},
        {"cut_short", "version: 1\nname: a\nmembers:\n  - {name: b, public_key: ", "syntax"},
        {"nested_lists", repeated("[\n", 20'000), "too-deep"},
        {"nested_maps", repeated("{a: \n", 50'000), "too-deep"},
        {"nested_policy", "policy: " + std::string(8'000, '['), "too-deep"},
        {"nested_question_marks", repeated("? ", 8'192), "too-deep"},
        {"alias_bomb",
         "a: &a [x, x]\n" + numbered("b", ": &b [*a, *a, *a, *a]\n", kMaxNetworkBytes),
         "no-anchors"},
        {"many_keys", numbered("k", ":\n", kMaxNetworkBytes), "too-large"},
        {"many_members", head + repeated("  - \n", kMaxNetworkBytes - 100), "too-large"},
        {"many_prefixes",
         head + "  - name: b\n    prefixes:\n" +
             repeated("    - 10.0.0.0/8\n", kMaxNetworkBytes - 100),
         "missing-key"},
        {"many_names", head + "  - name: b\n    published:\n" + repeated("    - c\n", 3'000'000),
         "missing-key"},
        {"many_values", head + repeated("- a\n", kMaxNetworkBytes - 100), "too-large"},
        {"endless_line", repeated("a", kMaxNetworkBytes), "line-too-long"},
        {"endless_quotes", "\"" + repeated("a\n", kMaxNetworkBytes - 1), "too-large"},
        {"endless_comment", repeated("# c\n", kMaxNetworkBytes), "too-large"},
        {"documents", repeated("---\n", kMaxNetworkBytes), "many-documents"},
        {"too_large", repeated("# c\n", kMaxNetworkBytes) + "name: a\n", "too-large"},
        {"zero_bytes", std::string(1000, '\0'), "bad-character"},
        {"zero_byte_in_a_name", head + "  - {name: \"a\\0b\"}\n", "bad-character"},
        {"escape_character", "name: \x1b[2J\n", "bad-character"},
        {"right_to_left", "name: \"a\\u202eb\"\n", "bad-character"},
        {"not_utf8", "name: \xc3\x28\n", "bad-character"},
        {"byte_order_mark", "\xef\xbb\xbfversion: 1\n", "encoding"},
        {"utf16", "\xff\xfev\0e\0"s, "encoding"},
    };
}

std::string name_of(const testing::TestParamInfo<Hostile>& info) {
    return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Config, HostileNetwork, testing::ValuesIn(hostile_files()), name_of);

TEST(HostileNetworks, OfAStrangerDoNotReachTheParser) {
    const AuthorityKey authority = authority_key_of(generate_authority_secret());
    const double before_ms = cpu_milliseconds();
    const NetworkLoad load =
        open_network({repeated("- a\n", kMaxNetworkBytes), Signature{}}, authority, "network.yaml");
    EXPECT_LT(cpu_milliseconds() - before_ms, 100 * kSlow);
    ASSERT_EQ(load.diagnostics.size(), 1U);
    EXPECT_EQ(load.diagnostics[0].code, "bad-signature");
}

TEST(HostileNetworks, OfNoSizeOrOfAnySignatureAreNotTaken) {
    const SecretKey secret = generate_authority_secret();
    const AuthorityKey authority = authority_key_of(secret);
    EXPECT_TRUE(verify({"", sign("", secret)}, authority));
    EXPECT_FALSE(open_network({"", sign("", secret)}, authority, "network.yaml"));
    // With the neutral element as its key, this signature would hold for every text.
    AuthorityKey neutral;
    neutral.bytes[0] = 1;
    Signature signature{};
    signature[0] = 1;
    EXPECT_FALSE(verify({"anything", signature}, neutral));
    EXPECT_FALSE(parse_authority_key(to_string(neutral)).has_value());
}

}  // namespace
}  // namespace meshgate::config
