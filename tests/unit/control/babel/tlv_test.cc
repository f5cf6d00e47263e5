// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/control/babel/fixture.h"

namespace meshgate::babel::test {
namespace {

const IpAddress kSource = node_link_local(0);  // fe80::1

std::vector<uint8_t> packet(std::string_view body) {
    std::vector<uint8_t> bytes = hex(body);
    const auto len = static_cast<uint8_t>(bytes.size());
    bytes.insert(bytes.begin(), {42, 2, 0, len});
    return bytes;
}

std::vector<Tlv> decoded(std::string_view body) {
    const auto result = decode(packet(body), kSource);
    return result ? result->tlvs : std::vector<Tlv>{};
}

std::vector<uint8_t> encoded(const std::vector<Tlv>& tlvs) {
    PacketWriter writer{1400};
    for (const Tlv& tlv : tlvs)
        EXPECT_TRUE(writer.add(tlv, kSource));
    return writer.finish();
}

TEST(BabelTlv, EncodesAndDecodesByTheByte) {
    struct Case {
        const char* name;
        std::vector<Tlv> tlvs;
        const char* body;
    };
    const Case cases[] = {
        {"acknowledgment request", {AckRequest{0x1234, 50}}, "02 06 0000 1234 0032"},
        {"acknowledgment", {Ack{0x1234}}, "03 02 1234"},
        {"hello", {Hello{.seqno = 0x0102, .interval_cs = 400}}, "04 06 0000 0102 0190"},
        {"unicast hello",
         {Hello{.kind = HelloKind::unicast, .seqno = 7, .interval_cs = 20}},
         "04 06 8000 0007 0014"},
        {"hello with timestamp",
         {Hello{.seqno = 1, .interval_cs = 400, .transmit_us = 0xdeadbeef}},
         "04 0c 0000 0001 0190 03 04 deadbeef"},
        {"IHU to a link-local address",
         {Ihu{.address = address("fe80::2:3"), .rxcost = 96, .interval_cs = 1200}},
         "05 0e 03 00 0060 04b0 0000000000020003"},
        {"IHU to whoever receives it",
         {Ihu{.rxcost = 96, .interval_cs = 12}},
         "05 06 00 00 0060 000c"},
        {"IHU to an IPv4 address",
         {Ihu{.address = address("192.0.2.9"), .rxcost = 0xffff, .interval_cs = 12}},
         "05 0a 01 00 ffff 000c c0000209"},
        {"IHU with timestamps",
         {Ihu{.rxcost = 1, .interval_cs = 2, .timestamps = Ihu::Timestamps{3, 4}}},
         "05 10 00 00 0001 0002 03 08 00000003 00000004"},
        {"update",
         {Update{.prefix = prefix("fd05::/48"),
                 .interval_cs = 1600,
                 .seqno = 5,
                 .metric = 96,
                 .router_id = id(1),
                 .next_hop = kSource}},
         "06 0a 0000 0102030405060701"
         "08 10 02 80 30 00 0640 0005 0060 fd0500000000"},
        {"IPv4 update with its next hop",
         {Update{.prefix = prefix("10.5.0.0/16"),
                 .interval_cs = 1600,
                 .seqno = 5,
                 .metric = 0,
                 .router_id = id(1),
                 .next_hop = address("192.0.2.1")}},
         "06 0a 0000 0102030405060701"
         "07 06 01 00 c0000201"
         "08 0c 01 80 10 00 0640 0005 0000 0a05"},
        {"IPv4 via IPv6 (RFC 9229)",
         {Update{.prefix = prefix("10.5.0.0/16"),
                 .interval_cs = 1600,
                 .seqno = 5,
                 .metric = 0,
                 .router_id = id(1),
                 .next_hop = kSource}},
         "06 0a 0000 0102030405060701"
         "08 0c 04 80 10 00 0640 0005 0000 0a05"},
        {"next hop that is not the source",
         {Update{.prefix = prefix("::/0"),
                 .interval_cs = 1,
                 .seqno = 2,
                 .metric = 3,
                 .router_id = id(1),
                 .next_hop = address("2001:db8::1")}},
         "06 0a 0000 0102030405060701"
         "07 12 02 00 20010db8000000000000000000000001"
         "08 0a 02 80 00 00 0001 0002 0003"},
        {"retraction",
         {Update{.prefix = prefix("10.0.0.0/8"), .interval_cs = 100, .seqno = 1}},
         "08 0b 01 80 08 00 0064 0001 ffff 0a"},
        {"retraction of everything",
         {Update{.interval_cs = 100, .seqno = 1}},
         "08 0a 00 00 00 00 0064 0001 ffff"},
        {"wildcard request", {RouteRequest{}}, "09 02 00 00"},
        {"route request", {RouteRequest{prefix("fd05::/48")}}, "09 08 02 30 fd0500000000"},
        {"seqno request",
         {SeqnoRequest{
             .prefix = prefix("10.5.0.0/16"), .seqno = 6, .hop_count = 64, .router_id = id(1)}},
         "0a 10 01 10 0006 40 00 0102030405060701 0a05"},
        {"packet counter", {PacketCounter{.pc = 9, .index = {1, 2}}}, "11 06 00000009 0102"},
        {"challenge request", {ChallengeRequest{{1, 2, 3}}}, "12 03 010203"},
        {"challenge reply", {ChallengeReply{{1, 2, 3}}}, "13 03 010203"},
    };
    for (const Case& one : cases) {
        SCOPED_TRACE(one.name);
        EXPECT_EQ(encoded(one.tlvs), packet(one.body));
        EXPECT_EQ(decoded(one.body), one.tlvs);
    }
}

TEST(BabelTlv, CompressesPrefixesThatStartAlike) {
    const auto update = [](const char* what) {
        return Update{.prefix = prefix(what),
                      .interval_cs = 1,
                      .seqno = 2,
                      .metric = 3,
                      .router_id = id(1),
                      .next_hop = kSource};
    };
    const std::vector<Tlv> tlvs{update("fd00:6d67:1::1/128"), update("fd00:6d67:1::2/128"),
                                update("fd00:6d67::/32")};
    const char* body =
        "06 0a 0000 0102030405060701"
        "08 1a 02 80 80 00 0001 0002 0003 fd006d67000100000000000000000001"
        "08 0b 02 80 80 0f 0001 0002 0003 02"
        "08 0a 02 80 20 04 0001 0002 0003";
    EXPECT_EQ(encoded(tlvs), packet(body));
    EXPECT_EQ(decoded(body), tlvs);
}

TEST(BabelTlv, KeepsTheDefaultPrefixOfIpv4ViaIpv6Apart) {  // RFC 9229 section 4.1
    // The second update omits two bytes, of which only address encoding 1 has a default.
    EXPECT_EQ(decoded("06 0a 0000 0102030405060701 07 06 01 00 c0000201"
                      "08 0c 01 80 10 00 0640 0005 0000 0a05"
                      "08 0b 04 00 18 02 0640 0005 0000 07")
                  .size(),
              1U);
}

TEST(BabelTlv, TakesTheRouterIdFromThePrefixWhenFlagged) {
    const auto v6 = decoded("08 1a 02 40 80 00 0001 0002 0003 fd000000000000001122334455667788");
    ASSERT_EQ(v6.size(), 1U);
    EXPECT_EQ(std::get<Update>(v6[0]).router_id,
              (RouterId{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}));
    const auto v4 = decoded("07 06 01 00 c0000201 08 0e 01 40 20 00 0001 0002 0003 0a050607");
    ASSERT_EQ(v4.size(), 1U);
    EXPECT_EQ(std::get<Update>(v4[0]).router_id, (RouterId{0, 0, 0, 0, 10, 5, 6, 7}));
}

TEST(BabelTlv, IgnoresTlvsWithUnknownMandatorySubTlvs) {
    for (const char* body : {"04 08 0000 0001 0190 80 00", "09 04 00 00 ff 00", "03 04 1234 80 00",
                             "02 08 0000 1234 0032 80 00", "05 08 00 00 0060 000c 80 00"})
        EXPECT_EQ(decoded(body).size(), 0U) << body;
    // Optional ones are skipped.
    EXPECT_EQ(decoded("04 0a 0000 0001 0190 7f 02 aabb").size(), 1U);
    EXPECT_EQ(decoded("04 0b 0000 0001 0190 00 7f 02 aabb").size(), 1U);
}

TEST(BabelTlv, UpdatesStateEvenWhereTheTlvIsIgnored) {  // RFC 8966 section 4.5
    // Router-Id, Next Hop and Update each with an unknown mandatory sub-TLV, then a plain Update
    // that needs what they said.
    const auto tlvs = decoded(
        "06 0c 0000 0102030405060701 80 00"
        "07 08 01 00 c0000201 80 00"
        "08 0e 01 80 10 00 0640 0005 0000 0a05 80 00"
        "08 0b 01 00 18 02 0640 0005 0000 07");
    ASSERT_EQ(tlvs.size(), 1U);
    EXPECT_EQ(std::get<Update>(tlvs[0]), (Update{.prefix = prefix("10.5.7.0/24"),
                                                 .interval_cs = 1600,
                                                 .seqno = 5,
                                                 .metric = 0,
                                                 .router_id = id(1),
                                                 .next_hop = address("192.0.2.1")}));
}

TEST(BabelTlv, ClearsHostBits) {
    EXPECT_EQ(std::get<RouteRequest>(decoded("09 04 01 09 0aff").at(0)).prefix,
              prefix("10.128.0.0/9"));
}

TEST(BabelTlv, IgnoresWhatIsMalformedAndReadsOn) {
    const struct {
        const char* name;
        const char* body;
    } cases[] = {
        {"short acknowledgment request", "02 05 0000 1234 00"},
        {"short acknowledgment", "03 01 12"},
        {"short hello", "04 05 0000 0102 01"},
        {"short IHU", "05 05 00 00 0060 00"},
        {"IHU without its address", "05 06 03 00 0060 000c"},
        {"IHU with an unknown address encoding", "05 0a 09 00 0060 000c c0000209"},
        {"IHU via IPv6", "05 0a 04 00 0060 000c c0000209"},
        {"short router-id", "06 09 0000 01020304050607"},
        {"router-id of zeros", "06 0a 0000 0000000000000000"},
        {"router-id of ones", "06 0a 0000 ffffffffffffffff"},
        {"next hop of nothing", "07 02 00 00"},
        {"short next hop", "07 05 01 00 c00002"},
        {"update without a router-id", "08 0c 02 80 10 00 0640 0005 0060 fd05"},
        {"IPv4 update without a next hop",
         "06 0a 0000 0102030405060701 08 0c 01 80 10 00 0640 0005 0060 0a05"},
        {"update whose prefix holds no router-id",
         "06 0a 0000 0102030405060701 08 10 02 c0 30 00 0640 0005 0060 fd0500000000"},
        {"short update", "08 09 02 80 10 00 0640 0005 00"},
        {"update without its prefix", "08 0b 02 80 10 00 0640 0005 ffff fd"},
        {"update of 129 bits",
         "08 1b 02 80 81 00 0640 0005 ffff fd0500000000000000000000000000000000"},
        {"update of 33 IPv4 bits", "08 0f 01 80 21 00 0640 0005 ffff 0a05000000"},
        {"update that omits without a default", "08 0b 02 80 10 01 0640 0005 ffff 05"},
        {"update that omits more than there is",
         "08 0c 02 80 10 00 0640 0005 ffff fd05 08 0a 02 00 08 02 0640 0005 ffff"},
        {"update of a link-local prefix", "08 0c 03 80 10 00 0640 0005 ffff fd05"},
        {"update with an unknown address encoding", "08 0c 05 80 10 00 0640 0005 ffff fd05"},
        {"wildcard update that is no retraction", "08 0a 00 00 00 00 0064 0001 0000"},
        {"wildcard update with a length", "08 0a 00 00 08 00 0064 0001 ffff"},
        {"wildcard request with a length", "09 02 00 08"},
        {"short request", "09 01 00"},
        {"request without its prefix", "09 03 02 30 fd"},
        {"seqno request for everything", "0a 0e 00 00 0006 40 00 0102030405060701"},
        {"seqno request with hop count zero", "0a 10 01 10 0006 00 00 0102030405060701 0a05"},
        {"short seqno request", "0a 0d 01 10 0006 40 00 01020304050607"},
        {"sub-TLV over the end", "04 08 0000 0001 0190 03 04"},
        {"sub-TLV without a length", "04 07 0000 0001 0190 03"},
        {"packet counter too short", "11 03 000000"},
        {"packet counter with a long index",
         "11 25 00000001 0101010101010101010101010101010101010101010101010101010101010101 01"},
        {"unknown type", "63 02 0000"},
    };
    for (const auto& one : cases) {
        SCOPED_TRACE(one.name);
        const auto result = decode(packet(std::string{one.body} + "03 02 1234"), kSource);
        ASSERT_TRUE(result);
        EXPECT_GE(result->nb_ignored, 1U);
        ASSERT_FALSE(result->tlvs.empty());
        EXPECT_EQ(result->tlvs.back(), Tlv{Ack{0x1234}});  // what comes after is still read
        // Before it at most what the case itself needs.
        EXPECT_LE(result->tlvs.size(), 2U);
    }
}

TEST(BabelTlv, StopsWhereATlvReachesOverTheBody) {
    const auto result = decode(packet("03 02 1234 04 06 0000"), kSource);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->tlvs.size(), 1U);
    EXPECT_EQ(result->nb_ignored, 1U);
}

TEST(BabelTlv, SkipsPaddingAndTheTrailer) {
    auto bytes = packet("00 01 03 000000 03 02 1234 00");
    const auto trailer = hex("10 02 abcd 03 02 9999");
    bytes.insert(bytes.end(), trailer.begin(), trailer.end());
    const auto result = decode(bytes, kSource);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->tlvs, (std::vector<Tlv>{Ack{0x1234}}));
}

TEST(BabelTlv, RefusesOtherPackets) {
    EXPECT_FALSE(decode(hex(""), kSource));
    EXPECT_FALSE(decode(hex("2a 02 00"), kSource));
    EXPECT_FALSE(decode(hex("2b 02 0000"), kSource));             // magic
    EXPECT_FALSE(decode(hex("2a 03 0000"), kSource));             // version
    EXPECT_FALSE(decode(hex("2a 02 0005 03 02 1234"), kSource));  // body over the end
    EXPECT_TRUE(decode(hex("2a 02 0004 03 02 1234"), kSource));
}

TEST(BabelTlv, WriterRefusesWhatDoesNotFitAndStaysWhole) {
    PacketWriter writer{60};
    const auto update = [](uint32_t node) {
        return Update{.prefix = node_prefix(node),
                      .interval_cs = 1,
                      .seqno = 2,
                      .metric = 3,
                      .router_id = id(1),
                      .next_hop = kSource};
    };
    ASSERT_TRUE(writer.add(update(0), kSource));  // 4 + 12 + 28
    ASSERT_TRUE(writer.add(update(1), kSource));  // + 13
    Update other = update(2);
    other.router_id = id(2);
    EXPECT_FALSE(writer.add(other, kSource));
    const auto bytes = writer.finish();
    EXPECT_EQ(bytes.size(), 57U);
    const auto result = decode(bytes, kSource);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->tlvs.size(), 2U);
    EXPECT_TRUE(writer.empty());
}

TEST(BabelTlv, RandomTlvsComeBackAsTheyWere) {
    std::mt19937 random{11};
    const auto pick = [&random](uint32_t below) { return static_cast<uint32_t>(random() % below); };
    for (int round = 0; round < 2000; ++round) {
        std::vector<Tlv> tlvs;
        for (uint32_t i = pick(12); i > 0; --i) {
            const bool v4 = pick(2) == 0;
            std::array<uint8_t, 16> bytes{};
            for (size_t k = 0; k < (v4 ? 4 : 16); ++k)
                bytes[k] = static_cast<uint8_t>(pick(4));
            IpAddress host = IpAddress::v6(bytes.data());
            if (v4)
                host.family = Family::ipv4;
            const Prefix chosen = Prefix{host, static_cast<uint8_t>(pick(v4 ? 33 : 129))}.network();
            Update update{.prefix = chosen,
                          .interval_cs = static_cast<uint16_t>(pick(65536)),
                          .seqno = static_cast<uint16_t>(pick(65536)),
                          .metric = static_cast<uint16_t>(pick(3) == 0 ? kInfinity : pick(65535))};
            if (update.metric != kInfinity) {
                update.router_id = id(static_cast<uint8_t>(pick(3)));
                update.next_hop =
                    v4 && pick(2) == 0 ? address("192.0.2.1") : node_link_local(pick(3));
            }
            tlvs.emplace_back(update);
            tlvs.emplace_back(RouteRequest{chosen});
        }
        const auto result = decode(encoded(tlvs), kSource);
        ASSERT_TRUE(result);
        ASSERT_EQ(result->nb_ignored, 0U);
        ASSERT_EQ(result->tlvs, tlvs);
    }
}

TEST(BabelTlv, ComparesSequenceNumbersModulo) {
    EXPECT_TRUE(seqno_less(1, 2));
    EXPECT_FALSE(seqno_less(2, 2));
    EXPECT_TRUE(seqno_less(65535, 0));
    EXPECT_FALSE(seqno_less(0, 65535));
    EXPECT_TRUE(seqno_less(40000, 50000));
    EXPECT_TRUE(seqno_less(50000, 10));
}

}  // namespace
}  // namespace meshgate::babel::test
