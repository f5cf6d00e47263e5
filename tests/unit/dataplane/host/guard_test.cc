// SPDX-License-Identifier: Apache-2.0
#include "dataplane/host/guard.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

namespace meshgate {
namespace {

using From = Guard::From;

constexpr PortId kWan = 0;

constexpr Time at(uint64_t ms) {
    return Time{std::chrono::milliseconds{ms}};
}
constexpr uint8_t kAck = 0x10, kSyn = 0x02;

struct Udp {
    const char* source;
    uint16_t source_port;
    const char* destination;
    uint16_t destination_port;
    uint8_t proto = IPPROTO_UDP;
};

HostPacket packet(const Udp& from) {
    HostPacket result;
    result.source = *parse_address(from.source);
    result.destination = *parse_address(from.destination);
    result.ether_type = result.source.is_v4() ? 0x0800 : 0x86dd;
    result.proto = from.proto;
    result.hop_limit = 64;
    result.source_port = from.source_port;
    result.destination_port = from.destination_port;
    return result;
}

HostPacket icmp(const char* source, const char* destination, uint8_t type, uint16_t id = 0) {
    const bool v4 = std::string_view{source}.find(':') == std::string_view::npos;
    const uint8_t proto = v4 ? uint8_t{IPPROTO_ICMP} : uint8_t{IPPROTO_ICMPV6};
    HostPacket result = packet({source, id, destination, id, proto});
    result.icmp_type = type;
    return result;
}

class GuardTest : public testing::Test {
protected:
    Verdict from_internet(const HostPacket& packet, uint64_t at_ms = 1000) {
        return guard.judge(kWan, From::internet, packet, at(at_ms));
    }
    Guard guard{7};
};

TEST_F(GuardTest, LetsNothingOfAStrangerIn) {
    EXPECT_EQ(from_internet(packet({"192.0.2.9", 4000, "192.0.2.1", 22, IPPROTO_TCP})),
              Drop::host_guarded);
    EXPECT_EQ(from_internet(packet({"192.0.2.9", 53, "192.0.2.1", 53})), Drop::host_guarded);
    EXPECT_EQ(from_internet(packet({"2001:db8::9", 53, "2001:db8::1", 53})), Drop::host_guarded);
    EXPECT_EQ(from_internet(icmp("192.0.2.9", "192.0.2.1", 0, 1)), Drop::host_guarded);
    EXPECT_EQ(from_internet(icmp("192.0.2.9", "192.0.2.1", 5)), Drop::host_guarded);
    HostPacket group = packet({"192.0.2.9", 5353, "224.0.0.251", 5353});
    group.to_group = true;
    EXPECT_EQ(from_internet(group), Drop::host_guarded);
    HostPacket other;
    other.ether_type = 0x8863;  // PPPoE
    EXPECT_EQ(from_internet(other), Drop::host_guarded);
}

TEST_F(GuardTest, LetsAnswersIn) {
    guard.sent(kWan, packet({"192.0.2.1", 4000, "192.0.2.9", 53}), at(1000));
    EXPECT_EQ(from_internet(packet({"192.0.2.9", 53, "192.0.2.1", 4000})), kSound);
    EXPECT_EQ(from_internet(packet({"192.0.2.9", 53, "192.0.2.1", 4001})), Drop::host_guarded);
    EXPECT_EQ(from_internet(packet({"192.0.2.9", 54, "192.0.2.1", 4000})), Drop::host_guarded);
    EXPECT_EQ(from_internet(packet({"192.0.2.8", 53, "192.0.2.1", 4000})), Drop::host_guarded);
    EXPECT_EQ(from_internet(packet({"192.0.2.9", 53, "192.0.2.1", 4000, IPPROTO_TCP})),
              Drop::host_guarded);
    EXPECT_EQ(guard.judge(kWan + 1, From::internet, packet({"192.0.2.9", 53, "192.0.2.1", 4000}),
                          at(1000)),
              Drop::host_guarded);
    HostPacket fragment = packet({"192.0.2.9", 0, "192.0.2.1", 0});
    EXPECT_EQ(from_internet(fragment), Drop::host_guarded);
    fragment.later_fragment = true;
    EXPECT_EQ(from_internet(fragment), kSound);
    EXPECT_EQ(from_internet(packet({"192.0.2.9", 53, "192.0.2.1", 4000}), 400'000),
              Drop::host_guarded);
}

TEST_F(GuardTest, LetsEchoRepliesInButNoRedirects) {
    guard.sent(kWan, icmp("192.0.2.1", "192.0.2.9", 8, 77), at(1000));
    EXPECT_EQ(from_internet(icmp("192.0.2.9", "192.0.2.1", 0, 77)), kSound);
    EXPECT_EQ(from_internet(icmp("192.0.2.9", "192.0.2.1", 0, 78)), Drop::host_guarded);
    EXPECT_EQ(from_internet(icmp("192.0.2.9", "192.0.2.1", 5)), Drop::host_guarded);
}

std::vector<uint8_t> quoted_udp(const char* source, uint16_t source_port, const char* destination,
                                uint16_t destination_port) {
    std::vector<uint8_t> bytes(28);
    bytes[0] = 0x45;
    bytes[3] = 100;  // of the whole, which is not quoted
    bytes[8] = 64;
    bytes[9] = IPPROTO_UDP;
    std::memcpy(&bytes[12], parse_address(source)->bytes.data(), 4);
    std::memcpy(&bytes[16], parse_address(destination)->bytes.data(), 4);
    bytes[20] = static_cast<uint8_t>(source_port >> 8);
    bytes[21] = static_cast<uint8_t>(source_port);
    bytes[22] = static_cast<uint8_t>(destination_port >> 8);
    bytes[23] = static_cast<uint8_t>(destination_port);
    return bytes;
}

TEST_F(GuardTest, LetsErrorsInAboutWhatWasSent) {
    guard.sent(kWan, packet({"192.0.2.1", 4000, "198.51.100.9", 53}), at(1000));
    const auto about_ours = quoted_udp("192.0.2.1", 4000, "198.51.100.9", 53);
    const auto about_others = quoted_udp("192.0.2.1", 4001, "198.51.100.9", 53);
    HostPacket error = icmp("192.0.2.254", "192.0.2.1", 3);
    error.quoted = about_ours;
    EXPECT_EQ(from_internet(error), kSound);
    error.quoted = about_others;
    EXPECT_EQ(from_internet(error), Drop::host_guarded);
    error.quoted = std::span{about_ours}.first(10);
    EXPECT_EQ(from_internet(error), Drop::host_guarded);
}

TEST_F(GuardTest, LetsInWhatAHostNeedsToHaveAnAddress) {
    HostPacket arp;
    arp.ether_type = 0x0806;
    EXPECT_EQ(from_internet(arp), kSound);
    EXPECT_EQ(from_internet(packet({"192.0.2.254", 67, "255.255.255.255", 68})), kSound);
    EXPECT_EQ(from_internet(packet({"192.0.2.254", 68, "192.0.2.1", 67})), Drop::host_guarded);
    EXPECT_EQ(from_internet(packet({"fe80::1", 547, "fe80::2", 546})), kSound);
    EXPECT_EQ(from_internet(packet({"2001:db8::9", 547, "fe80::2", 546})), Drop::host_guarded);
    HostPacket advertisement = icmp("fe80::1", "ff02::1", 134);
    advertisement.to_group = true;
    EXPECT_EQ(from_internet(advertisement), Drop::host_guarded);
    advertisement.hop_limit = 255;
    EXPECT_EQ(from_internet(advertisement), kSound);
    HostPacket redirect = icmp("fe80::1", "2001:db8::1", 137);
    redirect.hop_limit = 255;
    EXPECT_EQ(from_internet(redirect), Drop::host_guarded);
}

TEST_F(GuardTest, LimitsWhatNobodyAskedFor) {
    unsigned nb_taken = 0;
    HostPacket arp;
    arp.ether_type = 0x0806;
    for (unsigned i = 0; i < 5000; ++i)
        nb_taken += from_internet(arp).is_sound() ? 1 : 0;
    EXPECT_EQ(nb_taken, 1000U);
    EXPECT_EQ(from_internet(arp), Drop::host_flood);
    EXPECT_EQ(from_internet(arp, 1500), kSound);
    // Another port is not meant.
    EXPECT_EQ(guard.judge(1, From::internet, arp, at(1000)), kSound);
}

TEST_F(GuardTest, LimitsASourceOfTheSiteButNoStream) {
    const HostPacket question = packet({"10.1.0.9", 4000, "10.1.0.1", 53});
    unsigned nb_taken = 0;
    for (unsigned i = 0; i < 20'000; ++i)
        nb_taken += guard.judge(1, From::site, question, at(1000)).is_sound() ? 1 : 0;
    EXPECT_EQ(nb_taken, 10'000U);
    EXPECT_EQ(guard.judge(1, From::site, packet({"10.1.0.8", 4000, "10.1.0.1", 53}), at(1000)),
              kSound);
    HostPacket segment = packet({"10.1.0.9", 4000, "10.1.0.1", 22, IPPROTO_TCP});
    segment.tcp_flags = kAck;
    EXPECT_EQ(guard.judge(1, From::site, segment, at(1000)), kSound);
    segment.tcp_flags = kSyn;
    EXPECT_EQ(guard.judge(1, From::site, segment, at(1000)), Drop::host_flood);
}

// However many flows there were, the last one is known.
TEST_F(GuardTest, KeepsTheLatestOfManyFlows) {
    for (uint32_t i = 0; i < 70'000; ++i) {
        const auto port = static_cast<uint16_t>(1024 + i % 60'000);
        const auto far = static_cast<uint16_t>(1 + i / 60'000);
        guard.sent(kWan, packet({"192.0.2.1", port, "192.0.2.9", far}), at(1000 + i));
        ASSERT_EQ(from_internet(packet({"192.0.2.9", far, "192.0.2.1", port}), 1000 + i), kSound);
    }
}

TEST(HostPacket, SurvivesAnyBytes) {
    std::mt19937 random{1};
    for (unsigned i = 0; i < 50'000; ++i) {
        std::vector<uint8_t> bytes(random() % 90);
        for (uint8_t& byte : bytes)
            byte = static_cast<uint8_t>(random());
        if (bytes.size() > 15) {
            bytes[12] = random() % 2 == 0 ? 0x08 : 0x86;
            bytes[13] = bytes[12] == 0x08 ? 0x00 : 0xdd;
            bytes[14] = bytes[12] == 0x08 ? 0x45 : 0x60;
        }
        const auto frame = parse_host_frame(bytes);
        if (frame && !frame->quoted.empty())
            parse_quoted_ip(frame->quoted);
        parse_host_ip(bytes);
    }
}

}  // namespace
}  // namespace meshgate
