// SPDX-License-Identifier: Apache-2.0
#include "control/neighbor/groups.h"

#include <gtest/gtest.h>

#include "control/packets/ip.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

const MacAddress kOurMac{{2, 0, 0, 0, 0, 1}};
const MacAddress kQuerierMac{{2, 0, 0, 0, 0, 9}};
const IpAddress kGroup = *parse_address("ff02::1:ff00:1");
const IpAddress kOther = *parse_address("ff02::1:ff00:2");
const IpAddress kAll = *parse_address("::");

constexpr size_t kMldAt = 14 + 40 + 8;

struct Record {
    uint8_t type;  // of the record (MLDv2), or of the message (MLDv1)
    IpAddress group;
    bool operator==(const Record&) const = default;
};

// What a report says; checks all that RFC 3810 asks of it.
std::vector<Record> read_report(const Frame& frame) {
    const std::span<const uint8_t> bytes{frame};
    const auto ip = bytes.subspan(14);
    EXPECT_EQ(ip[6], 0) << "hop-by-hop options";
    EXPECT_EQ(ip[7], 1) << "hop limit";
    EXPECT_EQ(source_of(ip), link_local_address(kOurMac));
    EXPECT_EQ(ip[42], 5) << "router alert";
    EXPECT_EQ(upper_checksum_of(ip, kProtocolIcmpv6, 8), 0);
    const IpAddress destination = IpAddress::v6(ip.data() + 24);
    EXPECT_EQ(read_mac(bytes, 0), group_mac(destination));
    const auto mld = bytes.subspan(kMldAt);
    if (mld[0] != 143) {
        EXPECT_EQ(destination,
                  mld[0] == 132 ? *parse_address("ff02::2") : IpAddress::v6(mld.data() + 8));
        return {{mld[0], IpAddress::v6(mld.data() + 8)}};
    }
    EXPECT_EQ(destination, *parse_address("ff02::16"));
    std::vector<Record> records;
    for (size_t i = 0; i < read_u16(mld, 6); ++i)
        records.push_back({mld[8 + i * 20], IpAddress::v6(mld.data() + 8 + i * 20 + 4)});
    EXPECT_EQ(mld.size(), 8 + records.size() * 20);
    return records;
}

Frame query(size_t mld_len, const IpAddress& group, uint16_t code) {
    Frame frame =
        ethernet_header({kQuerierMac, 0}, group_mac(*parse_address("ff02::1")), kEthertypeIpv6);
    frame.resize(kMldAt + mld_len);
    const auto ip = std::span{frame}.subspan(14);
    write_ip_header(ip, {.protocol = 0,
                         .source = link_local_address(kQuerierMac),
                         .destination = *parse_address("ff02::1"),
                         .hop_limit = 1});
    const std::array<uint8_t, 8> options{58, 0, 5, 2, 0, 0, 1, 0};
    std::ranges::copy(options, ip.begin() + 40);
    const auto mld = ip.subspan(48);
    mld[0] = 130;
    write_u16(mld, 4, code);
    std::ranges::copy(group.bytes, mld.begin() + 8);
    write_u16(mld, 2, upper_checksum_of(ip, kProtocolIcmpv6, 8));
    return frame;
}

class GroupsTest : public testing::Test {
protected:
    GroupsTest() {
        groups.set_ports({port({kGroup})}, now);
        settle();
    }
    static Groups::Port port(std::vector<IpAddress> groups) {
        return {.identity = {kOurMac, 0},
                .source = link_local_address(kOurMac),
                .groups = std::move(groups)};
    }
    std::vector<Record> said() {
        std::vector<Record> result;
        for (const auto& outgoing : groups.take_frames()) {
            for (const Record& record : read_report(outgoing.frame))
                result.push_back(record);
        }
        return result;
    }
    // All that is said until nothing more is due.
    std::vector<Record> settle() {
        std::vector<Record> result = said();
        while (groups.next_deadline() != kNever) {
            now = groups.next_deadline();
            groups.tick(now);
            for (const Record& record : said())
                result.push_back(record);
        }
        return result;
    }

    Time now = Time{} + 1h;
    Groups groups{1};
};

TEST_F(GroupsTest, ReportsWhatItJoinsAndLeavesTwice) {
    groups.set_ports({port({kGroup, kOther})}, now);
    EXPECT_EQ(settle(), (std::vector<Record>{{4, kOther}, {4, kOther}}));
    groups.set_ports({port({kOther})}, now);
    EXPECT_EQ(settle(), (std::vector<Record>{{3, kGroup}, {3, kGroup}}));
    groups.set_ports({port({kOther})}, now);
    EXPECT_TRUE(settle().empty()) << "nothing changed";
}

TEST_F(GroupsTest, ReportsAnewWhenTheLinkComesUp) {
    groups.link_up(0, now);
    EXPECT_EQ(settle(), (std::vector<Record>{{4, kGroup}, {4, kGroup}}));
    groups.link_up(7, now);
    EXPECT_TRUE(settle().empty());
}

TEST_F(GroupsTest, AnswersAQueryInTime) {
    const Time asked = now;
    groups.receive(0, query(28, kAll, 10'000), now);
    EXPECT_LE(groups.next_deadline(), asked + 10s);
    EXPECT_EQ(settle(), (std::vector<Record>{{2, kGroup}}));
    groups.receive(0, query(28, kGroup, 1000), now);
    EXPECT_EQ(settle(), (std::vector<Record>{{2, kGroup}}));
    groups.receive(0, query(28, kOther, 1000), now);
    EXPECT_TRUE(settle().empty()) << "no group of ours";
}

TEST_F(GroupsTest, SpeaksMldV1WhileItsQuerierDoes) {
    groups.receive(0, query(24, kAll, 1000), now);
    EXPECT_EQ(settle(), (std::vector<Record>{{131, kGroup}}));
    groups.set_ports({port({kOther})}, now);
    EXPECT_EQ(settle(),
              (std::vector<Record>{{131, kOther}, {132, kGroup}, {131, kOther}, {132, kGroup}}));
    now += 261s;
    groups.receive(0, query(28, kAll, 1000), now);
    EXPECT_EQ(settle(), (std::vector<Record>{{2, kOther}}));
}

TEST_F(GroupsTest, ReadsLongDelays) {
    // RFC 3810, section 5.1.3: exponent 0, mantissa 0: 0x1000 << 3 ms, 32.768 s.
    Time last = now;
    for (int i = 0; i < 50; ++i) {
        groups.receive(0, query(28, kAll, 0x8000), now);
        last = std::max(last, groups.next_deadline());
        EXPECT_LE(groups.next_deadline(), now + 32'768ms);
        settle();
    }
    EXPECT_GT(last, Time{} + 1h + 10s);
}

TEST_F(GroupsTest, IgnoresWhatIsNoQuery) {
    const Frame good = query(28, kAll, 1000);
    const auto ignored = [&](size_t at, uint8_t value) {
        Frame bad = good;
        bad[at] = value;
        groups.receive(0, bad, now);
        return settle().empty();
    };
    EXPECT_TRUE(ignored(14 + 7, 2)) << "hop limit";
    EXPECT_TRUE(ignored(14 + 8, 0x20)) << "source is not link-local";
    EXPECT_TRUE(ignored(14 + 42, 1)) << "no router alert";
    EXPECT_TRUE(ignored(kMldAt, 131)) << "a report";
    EXPECT_TRUE(ignored(kMldAt + 2, good[kMldAt + 2] ^ 1)) << "checksum";
    for (size_t len = 0; len < good.size(); ++len) {
        groups.receive(0, std::span{good}.first(len), now);
        EXPECT_TRUE(settle().empty()) << len;
    }
    groups.receive(7, good, now);
    groups.receive(0, good, now);
    EXPECT_FALSE(settle().empty());
}

TEST_F(GroupsTest, SplitsLongReports) {
    std::vector<IpAddress> many;
    for (uint8_t i = 0; i < 100; ++i) {
        IpAddress group = kGroup;
        group.bytes[14] = static_cast<uint8_t>(i + 1);
        many.push_back(group);
    }
    groups.set_ports({port(many)}, now);
    for (const auto& outgoing : groups.take_frames())
        EXPECT_LE(outgoing.frame.size(), 14U + 1280);
    EXPECT_EQ(settle().size(), 101U) << "once more, and that the old one was left";
}

TEST(SolicitedNodeGroups, AreThoseOfIpv6AddressesOnce) {
    const std::vector<IpAddress> addresses{*parse_address("10.1.0.1"), *parse_address("fd00::1"),
                                           *parse_address("fd00:1::1"), *parse_address("fd00::2")};
    EXPECT_EQ(solicited_node_groups(addresses), (std::vector<IpAddress>{kGroup, kOther}));
}

}  // namespace
}  // namespace meshgate::control
