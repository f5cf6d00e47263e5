// SPDX-License-Identifier: Apache-2.0
#include "base/source_address.h"

#include <gtest/gtest.h>

#include <vector>

namespace meshgate {
namespace {

SourceAddress own(const char* address) {
    return {.address = *parse_address(address)};
}

std::string chosen(const std::vector<SourceAddress>& candidates, const char* destination) {
    const auto source = choose_source(candidates, *parse_address(destination));
    return source ? to_string(*source) : "none";
}

// RFC 6724, section 10.1, in both orders.
TEST(SourceAddress, IsThatOfTheExamples) {
    const struct {
        const char *destination, *better, *worse;
    } kExamples[] = {
        {"2001:db8:1::1", "2001:db8:3::1", "fe80::1"},
        {"ff05::1", "2001:db8:3::1", "fe80::1"},
        {"fe80::1", "fe80::2", "2001:db8:1::1"},
        {"2001:db8:1::1", "2001:db8:1::1", "2001:db8:3::2"},
        {"2001:db8:1::1", "2001:db8:1::2", "2001:db8:3::2"},
        {"2002:c633:6401::1", "2002:c633:6401::d5e3:7953:13eb:22e8", "2001:db8:1::2"},
        {"fd12:3456::1", "fd00::1", "2001:db8::1"},
        {"2001:db8:1::1", "2a00::1", "fd00::1"},
    };
    for (const auto& [destination, better, worse] : kExamples) {
        const std::string expected = to_string(*parse_address(better));
        EXPECT_EQ(chosen({own(better), own(worse)}, destination), expected) << destination;
        EXPECT_EQ(chosen({own(worse), own(better)}, destination), expected) << destination;
    }
}

TEST(SourceAddress, AvoidsDeprecatedAndPrefersTemporaryOnes) {
    SourceAddress deprecated = own("2001:db8:1::2"), temporary = own("2001:db8:3::3");
    deprecated.deprecated = true;
    temporary.temporary = true;
    EXPECT_EQ(chosen({deprecated, own("2001:db8:3::2")}, "2001:db8:1::1"), "2001:db8:3::2");
    EXPECT_EQ(chosen({deprecated}, "2001:db8:1::1"), "2001:db8:1::2") << "better than none";
    EXPECT_EQ(chosen({own("2001:db8:1::2"), temporary}, "2001:db8:1::1"), "2001:db8:3::3");
    EXPECT_EQ(chosen({deprecated, own("fe80::1")}, "2001:db8:1::1"), "2001:db8:1::2")
        << "the scope counts more";
}

TEST(SourceAddress, IsComparedAsFarAsItsOwnPrefix) {
    SourceAddress first = own("2001:db8:0:1::1"), second = own("2001:db8:0:1::ff");
    first.prefix_len = second.prefix_len = 64;
    EXPECT_EQ(chosen({first, second}, "2001:db8:0:1::fe"), "2001:db8:0:1::1");
    first.prefix_len = 63;
    EXPECT_EQ(chosen({first, second}, "2001:db8:0:1::fe"), "2001:db8:0:1::ff");
}

TEST(SourceAddress, IsChosenAlikeAmongBareAddresses) {
    const std::vector<IpAddress> all{*parse_address("10.0.0.1"), *parse_address("fd00::1"),
                                     *parse_address("2001:db8::1"), *parse_address("fe80::1")};
    for (const IpAddress& one : all)
        EXPECT_EQ(choose_source(all, one), one);
    EXPECT_EQ(choose_source(all, *parse_address("2a00::1")), all[2]);
    EXPECT_EQ(choose_source(all, *parse_address("fd77::1")), all[1]);
    EXPECT_EQ(choose_source(std::span{all}.first(1), *parse_address("fd77::1")), std::nullopt);
}

TEST(SourceAddress, IsTheFirstOfTheFamily) {
    EXPECT_EQ(chosen({own("fd00::1"), own("10.0.0.1"), own("192.0.2.1")}, "192.0.2.2"), "10.0.0.1");
    EXPECT_EQ(chosen({own("10.0.0.1")}, "2001:db8::1"), "none");
    EXPECT_EQ(chosen({}, "10.0.0.1"), "none");
    EXPECT_EQ(chosen({own("2001:db8::1"), own("2001:db8::1")}, "2a00::1"), "2001:db8::1");
}

}  // namespace
}  // namespace meshgate
