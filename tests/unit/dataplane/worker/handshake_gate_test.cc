// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/handshake_gate.h"

#include <gtest/gtest.h>

namespace meshgate {

namespace {

using Mac2 = HandshakeGate::Mac2;

constexpr uint64_t kHz = 1'000'000'000;  // one clock is one nanosecond
constexpr uint64_t kSecond = kHz;
constexpr uint64_t kStart = 5 * kSecond;

IpAddress address(const char* text) {
    return *parse_address(text);
}

class HandshakeGateTest : public testing::Test {
protected:
    // Of `rate` messages a second from one address, evenly spaced over `seconds`: those admitted.
    unsigned offer(const char* source, uint64_t rate, uint64_t seconds, Mac2 mac2 = Mac2::absent) {
        unsigned nb_admitted = 0;
        for (uint64_t i = 0; i < rate * seconds; ++i, now_ += kSecond / rate)
            nb_admitted += gate_.admit(address(source), mac2, now_) ? 1 : 0;
        return nb_admitted;
    }

    HandshakeGate gate_{kHz, 12345};
    uint64_t now_ = kStart;
};

TEST_F(HandshakeGateTest, AdmitsAllThatControlCanAnswer) {
    EXPECT_EQ(offer("192.0.2.1", 8'000, 2), 16'000U);
}

TEST_F(HandshakeGateTest, AdmitsABurst) {
    unsigned nb_admitted = 0;
    for (int i = 0; i < 1000; ++i)
        nb_admitted += gate_.admit(address("192.0.2.1"), Mac2::absent, now_) ? 1 : 0;
    EXPECT_EQ(nb_admitted, 1000U);
}

TEST_F(HandshakeGateTest, BoundsAFlood) {
    EXPECT_LE(offer("192.0.2.1", 500'000, 2), 2 * 10'000U + 1024 + 2 * 21);
    EXPECT_GE(offer("192.0.2.1", 500'000, 2), 19'000U) << "what is refused costs nothing";
}

TEST_F(HandshakeGateTest, LeavesOthersTheirRateInAFlood) {
    offer("192.0.2.1", 500'000, 1);
    unsigned nb_refused = 0;
    for (int i = 0; i < 20; ++i) {
        offer("192.0.2.1", 500'000, 1);
        nb_refused += gate_.admit(address("198.51.100.7"), Mac2::absent, now_) ? 0 : 1;
        nb_refused += gate_.admit(address("2001:db8::7"), Mac2::absent, now_) ? 0 : 1;
    }
    EXPECT_EQ(nb_refused, 0U);
    EXPECT_LE(offer("198.51.100.7", 1000, 1) + offer("192.0.2.1", 500'000, 1), 22'200U);
}

TEST_F(HandshakeGateTest, TakesAnIpv6NetworkForOneSource) {
    offer("2001:db8::1", 500'000, 1);
    while (gate_.admit(address("2001:db8::1"), Mac2::absent, now_)) {
    }
    ASSERT_FALSE(gate_.admit(address("2001:db8::1"), Mac2::absent, now_));
    EXPECT_FALSE(gate_.admit(address("2001:db8::2"), Mac2::absent, now_));
    EXPECT_TRUE(gate_.admit(address("2001:db8:0:1::1"), Mac2::absent, now_));
}

TEST_F(HandshakeGateTest, KeepsAShareForThoseWithACookie) {
    // So many addresses that every slot is taken.
    for (uint32_t i = 0; i < 100'000; ++i)
        gate_.admit(IpAddress::v4(i), Mac2::absent, now_);
    ASSERT_FALSE(gate_.admit(address("198.51.100.7"), Mac2::absent, now_));
    EXPECT_TRUE(gate_.admit(address("198.51.100.7"), Mac2::present, now_));
}

TEST_F(HandshakeGateTest, SpreadsAddressesOverItsSlots) {
    offer("192.0.2.1", 500'000, 1);
    unsigned nb_admitted = 0;
    for (uint32_t i = 0; i < 1024; ++i)  // neighbours: 10.0.x.y
        nb_admitted += gate_.admit(IpAddress::v4(0x000a | i << 16), Mac2::absent, now_) ? 1 : 0;
    EXPECT_GT(nb_admitted, 500U) << "at random it would be 647";
}

}  // namespace

}  // namespace meshgate
