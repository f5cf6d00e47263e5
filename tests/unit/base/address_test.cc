// SPDX-License-Identifier: Apache-2.0
#include "base/address.h"

#include <gtest/gtest.h>

namespace meshgate {
namespace {

TEST(Address, ParsesWhatItPrints) {
    for (const char* text : {"10.0.0.1", "255.255.255.255", "::", "2001:db8::1", "fe80::1:2"})
        EXPECT_EQ(to_string(parse_address(text).value()), text);
}

TEST(Address, GivesMappedAddressesTheirIpv4Form) {
    EXPECT_EQ(parse_address("::ffff:192.0.2.1"), parse_address("192.0.2.1"));
}

TEST(Address, RefusesWhatIsNotOne) {
    for (const char* text : {"", "10.0.0", "10.0.0.256", "10.0.0.01", " 10.0.0.1", "1::2::3",
                             "fe80::1%eth0", "10.0.0.1/8"})
        EXPECT_FALSE(parse_address(text)) << text;
}

TEST(Prefix, ParsesBareAddressesAsHosts) {
    EXPECT_EQ(parse_prefix("10.0.0.1")->len, 32);
    EXPECT_EQ(parse_prefix("2001:db8::1")->len, 128);
    EXPECT_EQ(to_string(parse_prefix("10.1.2.3/8")->network()), "10.0.0.0/8");
    EXPECT_EQ(to_string(parse_prefix("2001:db8:ffff::1/33")->network()), "2001:db8:8000::/33");
    for (const char* text : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "::/129", "10.0.0.0/-1"})
        EXPECT_FALSE(parse_prefix(text)) << text;
}

TEST(Prefix, ContainsAndOverlaps) {
    const Prefix ten = *parse_prefix("10.0.0.0/8");
    EXPECT_TRUE(ten.contains(*parse_address("10.255.0.1")));
    EXPECT_FALSE(ten.contains(*parse_address("11.0.0.1")));
    EXPECT_FALSE(ten.contains(*parse_address("::1")));
    EXPECT_TRUE(ten.overlaps(*parse_prefix("10.1.0.0/16")));
    EXPECT_FALSE(ten.overlaps(*parse_prefix("11.0.0.0/8")));
    EXPECT_TRUE(parse_prefix("0.0.0.0/0")->overlaps(ten));
}

TEST(Endpoint, WantsBracketsAroundIpv6) {
    EXPECT_EQ(to_string(*parse_endpoint("192.0.2.1:51820")), "192.0.2.1:51820");
    EXPECT_EQ(to_string(*parse_endpoint("[2001:db8::1]:1")), "[2001:db8::1]:1");
    for (const char* text : {"192.0.2.1", "192.0.2.1:0", "192.0.2.1:65536", "2001:db8::1:51820",
                             "[192.0.2.1]:1", ":1", "[]:1"})
        EXPECT_FALSE(parse_endpoint(text)) << text;
}

TEST(Mac, ParsesWhatItPrints) {
    EXPECT_EQ(to_string(*parse_mac("02:00:0a:bc:de:ff")), "02:00:0a:bc:de:ff");
    for (const char* text : {"", "02:00:0a:bc:de", "02-00-0a-bc-de-ff", "02:00:0a:bc:de:fg"})
        EXPECT_FALSE(parse_mac(text)) << text;
}

}  // namespace
}  // namespace meshgate
