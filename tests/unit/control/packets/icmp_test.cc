// SPDX-License-Identifier: Apache-2.0
#include "control/packets/icmp.h"

#include <gtest/gtest.h>

#include <vector>

namespace meshgate::control {
namespace {

TEST(Icmp, RefusesEchoRequestsThatAreNotWholeAndRight) {
    std::vector<uint8_t> good{0x45, 0,  0,  28, 0, 0, 0, 0, 64,   1,    0, 0, 10, 1,
                              0,    20, 10, 1,  0, 1, 8, 0, 0xf7, 0xff, 0, 0, 0,  0};
    auto copy = good;
    EXPECT_TRUE(make_echo_reply(copy));
    const auto refused = [&good](size_t at, uint8_t value) {
        auto bad = good;
        bad[at] = value;
        return !make_echo_reply(bad);
    };
    EXPECT_TRUE(refused(0, 0x46)) << "options";
    EXPECT_TRUE(refused(3, 29)) << "cut";
    EXPECT_TRUE(refused(6, 0x20)) << "a fragment";
    EXPECT_TRUE(refused(20, 0)) << "a reply";
    EXPECT_TRUE(refused(23, 0)) << "checksum";
    for (size_t len = 0; len < good.size(); ++len) {
        auto cut = good;
        cut.resize(len);
        EXPECT_FALSE(make_echo_reply(cut)) << len;
    }
}

// From 10.1.0.20 to 10.1.0.1, an empty echo request.
std::vector<uint8_t> echo_with_options(const std::vector<uint8_t>& options) {
    std::vector<uint8_t> ip{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 1, 0, 20, 10, 1, 0, 1};
    ip.insert(ip.end(), options.begin(), options.end());
    ip[0] = static_cast<uint8_t>(0x40 | ip.size() / 4);
    ip.insert(ip.end(), {8, 0, 0xf7, 0xff, 0, 0, 0, 0});
    ip[3] = static_cast<uint8_t>(ip.size());
    return ip;
}

TEST(Icmp, AnswersEchoRequestsWithARecordOfTheRoute) {
    // One place taken, one free, and none.
    auto ip = echo_with_options({7, 11, 8, 10, 1, 0, 254, 0, 0, 0, 0, 1});
    ASSERT_TRUE(make_echo_reply(ip));
    EXPECT_EQ(ip, (std::vector<uint8_t>{0x48,   0,      0,  40, 0,    0,    0,   0,  64, 1,
                                        ip[10], ip[11], 10, 1,  0,    1,    10,  1,  0,  20,
                                        7,      11,     12, 10, 1,    0,    254, 10, 1,  0,
                                        1,      1,      0,  0,  0xff, 0xff, 0,   0,  0,  0}));
    uint32_t sum = 0;
    for (size_t i = 0; i < 32; i += 2)
        sum += static_cast<uint32_t>(ip[i] << 8 | ip[i + 1]);
    EXPECT_EQ((sum & 0xffff) + (sum >> 16), 0xffffU);
    ip = echo_with_options({7, 7, 8, 10, 1, 0, 254, 0});
    ASSERT_TRUE(make_echo_reply(ip)) << "a full record";
    EXPECT_EQ(ip[22], 8);
}

TEST(Icmp, RefusesOptionsThatLieAndSourceRoutes) {
    for (const std::vector<uint8_t>& options : {std::vector<uint8_t>{7, 9, 4, 0},
                                                {7, 1, 4, 0},
                                                {7, 3, 3, 0},
                                                {7, 2, 1, 1},
                                                {1, 1, 1, 7},
                                                {131, 3, 4, 0},
                                                {137, 3, 4, 0},
                                                {1, 131, 3, 4}}) {
        auto ip = echo_with_options(options);
        EXPECT_FALSE(make_echo_reply(ip)) << int{options[0]};
    }
    auto ip = echo_with_options({0, 131, 3, 4});
    EXPECT_TRUE(make_echo_reply(ip)) << "behind the end of options";
}

TEST(Icmp, MakesNoErrorAboutErrorsAndToNobody) {
    std::vector<uint8_t> packet{0x45, 0,  0,  28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 1,
                                0,    20, 10, 1,  0, 1, 8, 0, 0,  0, 0, 0, 0,  0};
    const IpAddress us = *parse_address("10.1.0.1");
    EXPECT_FALSE(build_host_unreachable(packet, us).empty());
    packet[20] = 3;
    EXPECT_TRUE(build_host_unreachable(packet, us).empty()) << "about an error";
    packet[20] = 8;
    packet[7] = 1;
    EXPECT_TRUE(build_host_unreachable(packet, us).empty()) << "about a later fragment";
    packet[7] = 0;
    packet[12] = 224;
    EXPECT_TRUE(build_host_unreachable(packet, us).empty()) << "to a group";
    EXPECT_TRUE(build_host_unreachable(packet, *parse_address("fd10::1")).empty());
}

}  // namespace
}  // namespace meshgate::control
