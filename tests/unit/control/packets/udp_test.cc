// SPDX-License-Identifier: Apache-2.0
#include "control/packets/udp.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::control {
namespace {

DataplaneOptions one_wan() {
    DataplaneOptions options;
    options.ports.push_back({.name = "wan0", .role = PortRole::wan});
    return options;
}

class Udp : public testing::Test {
protected:
    std::vector<uint8_t> datagram(std::span<const uint8_t> payload) {
        const Packet packet = make_udp(fake, options, payload);
        return packet ? std::vector<uint8_t>{packet.bytes().begin(), packet.bytes().end()}
                      : std::vector<uint8_t>{};
    }

    FakeDataplane fake{one_wan()};
    UdpOptions options{.source = {*parse_address("fd00::1"), 6698},
                       .destination = {*parse_address("fd00::2"), 6698},
                       .hop_limit = 64};
};

TEST_F(Udp, ReadsWhatItWrote) {
    for (const size_t len : {0U, 1U, 2U, 777U, 1200U}) {
        std::vector<uint8_t> payload(len);
        for (uint8_t& byte : payload)
            byte = static_cast<uint8_t>(randombytes_random());
        const auto ip = datagram(payload);
        const auto view = parse_udp(ip);
        ASSERT_TRUE(view) << len;
        EXPECT_EQ(view->source, options.source);
        EXPECT_EQ(view->destination, options.destination);
        EXPECT_TRUE(std::ranges::equal(view->payload, payload));
        EXPECT_EQ(ip[7], 64);
    }
}

TEST_F(Udp, NoticesEveryChangedBitThatCounts) {
    const auto good = datagram(std::vector<uint8_t>(33, 0xa5));
    for (size_t at = 0; at < good.size(); ++at) {
        if (at < 4 || at == 7)
            continue;  // traffic class, flow label, hop limit: no part of it
        for (unsigned bit = 0; bit < 8; ++bit) {
            auto bad = good;
            bad[at] = static_cast<uint8_t>(bad[at] ^ (1U << bit));
            EXPECT_FALSE(parse_udp(bad)) << at << '.' << bit;
        }
    }
}

TEST_F(Udp, RefusesWhatIsCutShortAndWhatIsTooLong) {
    const auto good = datagram(std::vector<uint8_t>(20, 1));
    for (size_t len = 0; len < good.size(); ++len)
        EXPECT_FALSE(parse_udp(std::span{good}.first(len))) << len;
    EXPECT_TRUE(datagram(std::vector<uint8_t>(1401)).empty());
    EXPECT_EQ(fake.drops(Drop::too_big), 1U);
}

TEST_F(Udp, CountsWhatFindsNoPacketBuffer) {
    const auto all = fake.take_all_mbufs();
    EXPECT_TRUE(datagram({}).empty());
    EXPECT_EQ(fake.drops(Drop::no_mbuf), 1U);
}

}  // namespace
}  // namespace meshgate::control
