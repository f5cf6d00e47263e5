// SPDX-License-Identifier: Apache-2.0
#include "control/packets/ip.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace meshgate::control {
namespace {

TEST(InternetChecksum, IsThatOfTheStandard) {
    // RFC 1071, section 3.
    const std::array<uint8_t, 8> bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    EXPECT_EQ(checksum_of(bytes), static_cast<uint16_t>(~0xddf2));
    const std::array<uint8_t, 3> odd{0x00, 0x01, 0xf2};
    EXPECT_EQ(checksum_of(odd), static_cast<uint16_t>(~0xf201));
}

TEST(IpHeader, WritesBothFamilies) {
    std::vector<uint8_t> v4(28, 0xff);
    write_ip_header(v4, {.protocol = kProtocolIcmp,
                         .source = *parse_address("192.0.2.1"),
                         .destination = *parse_address("192.0.2.2")});
    EXPECT_EQ(v4[0], 0x45);
    EXPECT_EQ(read_u16(v4, 2), 28);
    EXPECT_EQ(v4[8], 64);
    EXPECT_EQ(checksum_of(std::span{v4}.first(20)), 0);
    EXPECT_EQ(source_of(v4), *parse_address("192.0.2.1"));
    EXPECT_EQ(read_ipv4(v4, 16), *parse_address("192.0.2.2"));
    EXPECT_EQ(v4[20], 0xff) << "what it carries is left alone";

    std::vector<uint8_t> v6(44, 0xff);
    write_ip_header(v6, {.protocol = kProtocolUdp,
                         .source = *parse_address("fd00::1"),
                         .destination = *parse_address("fd00::2"),
                         .hop_limit = 1,
                         .traffic_class = 0xc0});
    EXPECT_EQ(v6[0], 0x6c);
    EXPECT_EQ(v6[1], 0x00);
    EXPECT_EQ(read_u16(v6, 4), 4);
    EXPECT_EQ(v6[6], kProtocolUdp);
    EXPECT_EQ(v6[7], 1);
    EXPECT_EQ(source_of(v6), *parse_address("fd00::1"));
}

TEST(SourceOf, IsNothingWhenCut) {
    const std::vector<uint8_t> v4(19, 0x45);
    EXPECT_EQ(source_of(v4).family, Family::none);
    const std::vector<uint8_t> v6(39, 0x60);
    EXPECT_EQ(source_of(v6).family, Family::none);
    EXPECT_EQ(source_of({}).family, Family::none);
}

}  // namespace
}  // namespace meshgate::control
