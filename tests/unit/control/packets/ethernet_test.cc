// SPDX-License-Identifier: Apache-2.0
#include "control/packets/ethernet.h"

#include <gtest/gtest.h>

namespace meshgate::control {
namespace {

const MacAddress kUs{{2, 0, 0, 0, 0, 1}};
const MacAddress kThem{{2, 0, 0, 0, 0, 2}};

TEST(Ethernet, ReadsWhatItWrote) {
    for (const uint16_t vlan : {uint16_t{0}, uint16_t{42}}) {
        Frame frame = ethernet_header({kUs, vlan}, kThem, kEthertypeArp);
        EXPECT_EQ(frame.size(), vlan == 0 ? 14U : 18U);
        frame.push_back(7);
        const auto view = parse_ethernet(frame, vlan);
        ASSERT_TRUE(view);
        EXPECT_EQ(view->source, kUs);
        EXPECT_EQ(view->destination, kThem);
        EXPECT_EQ(view->ethertype, kEthertypeArp);
        ASSERT_EQ(view->payload.size(), 1U);
        EXPECT_EQ(view->payload[0], 7);
        for (size_t len = 0; len < frame.size() - 1; ++len)
            EXPECT_FALSE(parse_ethernet(std::span{frame}.first(len), vlan)) << len;
    }
}

TEST(Ethernet, RefusesAnotherVlanAndTakesAStrippedTag) {
    const Frame tagged = ethernet_header({kUs, 42}, kThem, kEthertypeArp);
    EXPECT_FALSE(parse_ethernet(tagged, 43));
    EXPECT_FALSE(parse_ethernet(tagged, 0));
    const Frame untagged = ethernet_header({kUs, 0}, kThem, kEthertypeArp);
    EXPECT_TRUE(parse_ethernet(untagged, 42));
}

TEST(Ethernet, MapsGroupsToMacAddresses) {
    EXPECT_EQ(group_mac(*parse_address("224.129.2.3")), *parse_mac("01:00:5e:01:02:03"));
    EXPECT_EQ(group_mac(*parse_address("ff02::1:ff12:3456")), *parse_mac("33:33:ff:12:34:56"));
}

}  // namespace
}  // namespace meshgate::control
