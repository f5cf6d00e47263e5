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
