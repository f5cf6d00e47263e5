// SPDX-License-Identifier: Apache-2.0
#include "dataplane/api/link.h"

#include <gtest/gtest.h>
#include <rte_byteorder.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

namespace meshgate {
namespace {

// What a stock peer makes of an inner packet: padded to 16, but not above its own MTU of 1420.
uint32_t outer_len(uint32_t inner_len, Family outer) {
    const uint32_t padded = std::max(inner_len, std::min((inner_len + 15) / 16 * 16, 1420U));
    return padded + (outer == Family::ipv6 ? 80 : 60);
}

TEST(InnerMtu, FitsAfterThePeersPadding) {
    for (const Family outer : {Family::ipv4, Family::ipv6}) {
        for (uint16_t path_mtu = 576; path_mtu <= 1500; ++path_mtu) {
            const uint16_t mtu = inner_mtu(path_mtu, outer);
            EXPECT_LE(outer_len(mtu, outer), path_mtu);
            EXPECT_GT(mtu + 16 + (outer == Family::ipv6 ? 80 : 60), path_mtu) << "too careful";
        }
    }
}

TEST(InnerMtu, IsTheUsualOneForTheUsualPath) {
    EXPECT_EQ(inner_mtu(1500, Family::ipv4), 1440);
    EXPECT_EQ(inner_mtu(1500, Family::ipv6), 1420);
    EXPECT_EQ(inner_mtu(1480, Family::ipv4), 1420);
    EXPECT_EQ(inner_mtu(1400, Family::ipv4), 1328) << "1340 would be padded to 1344";
    EXPECT_EQ(inner_mtu(9000, Family::ipv6), 8912);
}

LinkOptions to(const char* local, const char* remote) {
    return {.port = 0,
            .port_mtu_bytes = 1400,
            .vlan = kNoVlan,
            .source_mac = {},
            .next_hop_mac = {},
            .local = parse_endpoint(local).value(),
            .remote = parse_endpoint(remote).value()};
}

uint16_t prepared_checksum(const Link& link) {
    uint16_t sum = 0;
    std::memcpy(&sum, &link.header[link.header_len - 2U], sizeof sum);
    return sum;
}

TEST(MakeLink, HoldsTheSumOfWhatDatagramsHaveInCommon) {
    LinkOptions options = to("192.0.2.1:51820", "198.51.100.2:4500");
    // 0xc000 + 0x0201 + 0xc633 + 0x6402 + 17 + 51820 + 4500, folded.
    const uint32_t sum = 0xc000 + 0x0201 + 0xc633 + 0x6402 + 17 + 51820 + 4500;
    const auto folded = static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
    EXPECT_EQ(prepared_checksum(make_link(options)), rte_cpu_to_be_16(folded));
    options.udp_checksum = UdpChecksum::never;
    EXPECT_EQ(prepared_checksum(make_link(options)), 0);
    options = to("[2001:db8::1]:51820", "[2001:db8::2]:4500");
    options.udp_checksum = UdpChecksum::never;
    EXPECT_NE(prepared_checksum(make_link(options)), 0) << "mandatory over IPv6";
}

TEST(OuterMtu, IsWhatThePacketGrowsTo) {
    EXPECT_EQ(outer_mtu(1328, Family::ipv4), 1328 + 60);
    EXPECT_EQ(outer_mtu(1312, Family::ipv6), 1312 + 80);
}

std::string hex(const Link& link) {
    std::string text;
    for (size_t i = 0; i < link.header_len; ++i) {
        char byte[3];
        std::snprintf(byte, sizeof byte, "%02x", link.header.at(i));
        text += byte;
    }
    return text;
}

LinkOptions link_options(const char* local, const char* remote) {
    return {.port = 2,
            .port_mtu_bytes = 1500,
            .vlan = kNoVlan,
            .source_mac = MacAddress{{2, 0, 0, 0, 0, 1}},
            .next_hop_mac = MacAddress{{2, 0, 0, 0, 0, 2}},
            .local = *parse_endpoint(local),
            .remote = *parse_endpoint(remote)};
}

TEST(Link, PreparesOuterIpv4) {
    const Link link = make_link(link_options("192.0.2.1:51820", "198.51.100.7:4660"));
    EXPECT_EQ(hex(link),
              "020000000002"
              "020000000001"
              "0800"
              "450000000000400040114eb1c0000201c6336407"  // the sum over a length of 0
              "ca6c12340000c8ee");  // the sum of addresses, protocol and ports
    EXPECT_EQ(link.ip_offset, 14);
    EXPECT_EQ(link.mtu_bytes, 1440);
    EXPECT_FALSE(link.outer_ipv6);
}

TEST(Link, PreparesOuterIpv6BehindAVlanTag) {
    LinkOptions options = link_options("[2001:db8::1]:51820", "[2001:db8::2]:4660");
    options.vlan = 42;
    const Link link = make_link(options);
    EXPECT_EQ(hex(link),
              "020000000002"
              "020000000001"
              "8100002a86dd"
              "6000000000001140"
              "20010db8000000000000000000000001"
              "20010db8000000000000000000000002"
              "ca6c123400003827");
    EXPECT_EQ(link.ip_offset, 18);
    EXPECT_EQ(link.header_len, link.header.size());
    EXPECT_EQ(link.mtu_bytes, 1420);
    EXPECT_TRUE(link.outer_ipv6);
}

}  // namespace
}  // namespace meshgate
