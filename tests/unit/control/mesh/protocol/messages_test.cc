// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/protocol/messages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "control/mesh/protocol/cbor.h"
#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {

namespace {

std::vector<uint8_t> handshake_bytes(uint8_t type, size_t len) {
    std::vector<uint8_t> bytes(len, 0xee);
    bytes[0] = type;
    bytes[1] = bytes[2] = bytes[3] = 0;
    return bytes;
}

ClientAt::Entry client(uint8_t number) {
    ClientAt::Entry entry;
    entry.key.bytes.fill(number);
    entry.box = node(number);
    entry.timestamp.fill(0x40);
    entry.refresh = 0xffffffff;
    entry.age_s = 0xffff;
    entry.gone = number % 2 == 0;
    return entry;
}

// One of each, with its fields at the ends of their ranges.
std::vector<Message> largest_messages() {
    FilePiece piece{UINT64_MAX, kMaxFileLen, 0, std::vector<uint8_t>(kPieceLen, 0xff)};
    piece.offset = static_cast<uint32_t>(kMaxFileLen / kPieceLen * kPieceLen - kPieceLen);
    Candidates candidates{{}, true};
    candidates.endpoints.assign(kMaxCandidates, endpoint("[2001:db8:ffff::1]:65535"));
    ClientAt clients;
    for (uint8_t i = 0; i < kMaxClientEntries; ++i)
        clients.entries.push_back(client(i));
    return {State{UINT64_MAX},
            FileRequest{UINT64_MAX, piece.offset, kMaxPiecesPerRequest},
            piece,
            RelayOpen{UINT32_MAX, UINT32_MAX, node(65535)},
            RelayReply{UINT32_MAX, UINT32_MAX, RelayAnswer::refused_not_relay},
            RelayClose{UINT32_MAX},
            Handshake{node(1), node(2), kMaxHandshakeHops, handshake_bytes(1, 148)},
            Seen{endpoint("[2001:db8:ffff::1]:65535")},
            candidates,
            Probe{UINT32_MAX},
            ProbeReply{UINT32_MAX},
            clients};
}

std::vector<Message> smallest_messages() {
    return {State{},
            FileRequest{0, 0, 1},
            FilePiece{0, kSignatureLen + 1, 0, std::vector<uint8_t>(kSignatureLen + 1)},
            RelayOpen{0, 0, node(0)},
            RelayReply{},
            RelayClose{},
            Handshake{node(1), node(2), 0, handshake_bytes(3, 64)},
            Seen{endpoint("192.0.2.1:1")},
            Candidates{},
            Probe{},
            ProbeReply{},
            ClientAt{}};
}

}  // namespace

TEST(MeshMessages, EachIsReadAsItWasWritten) {
    for (const auto& messages : {largest_messages(), smallest_messages()}) {
        ASSERT_EQ(messages.size(), std::variant_size_v<Message>);
        for (const Message& message : messages) {
            const auto bytes = encode(message);
            EXPECT_LE(bytes.size(), kMaxMessageLen) << name_of(message);
            const auto read = decode(bytes);
            ASSERT_TRUE(read) << name_of(message);
            EXPECT_TRUE(*read == message) << name_of(message);
        }
    }
}

TEST(MeshMessages, AProbeMayBePadded) {
    for (const uint32_t id : {0U, 23U, 24U, 70'000U, UINT32_MAX}) {
        for (const size_t len : {size_t{300}, size_t{1152}, size_t{1200}, kMaxPaddedLen}) {
            const auto bytes = encode_padded(Probe{id}, len);
            EXPECT_EQ(bytes.size(), len);
            const auto read = decode(bytes);
            ASSERT_TRUE(read) << id << " in " << len;
            EXPECT_TRUE(*read == Message{Probe{id}});
        }
    }
    auto longer = encode_padded(Probe{1}, kMaxPaddedLen);
    longer.push_back(0);
    EXPECT_FALSE(decode(longer));
}

// As in the table of docs/architecture.md.
TEST(MeshMessages, SizesAreAsDocumented) {
    constexpr std::pair<size_t, size_t> kSizes[] = {{7, 15},  {11, 24}, {80, 1055}, {27, 35},
                                                    {11, 19}, {7, 11},  {110, 194}, {13, 27},
                                                    {9, 345}, {7, 11},  {7, 11},    {7, 1117}};
    const auto smallest = smallest_messages();
    const auto largest = largest_messages();
    for (size_t i = 0; i < largest.size(); ++i) {
        EXPECT_EQ(encode(smallest[i]).size(), kSizes[i].first) << name_of(smallest[i]);
        EXPECT_EQ(encode(largest[i]).size(), kSizes[i].second) << name_of(largest[i]);
    }
}

// The bytes on the wire are a promise to other versions.
TEST(MeshMessages, TheBytesAreThese) {
    struct Case {
        Message message;
        const char* bytes;
    };
    const Case cases[] = {
        {State{500}, "a3 00 01 01 01 02 19 01f4"},
        {FileRequest{7, 2048, 16}, "a5 00 01 01 02 02 07 03 19 0800 04 10"},
        {RelayOpen{1, 0xdeadbeef, node(9)},
         "a5 00 01 01 04 02 01 03 1a deadbeef 04 50 fd6d6700000000000000000000000009"},
        {RelayReply{1, 24, RelayAnswer::refused_cap}, "a5 00 01 01 05 02 01 03 18 18 04 03"},
        {RelayClose{255}, "a3 00 01 01 06 02 18 ff"},
        {Seen{endpoint("192.0.2.1:51820")}, "a3 00 01 01 08 02 82 44 c0000201 19 ca6c"},
        {Candidates{{}, true}, "a4 00 01 01 09 02 80 03 f5"},
        {Probe{65536}, "a3 00 01 01 0a 02 1a 00010000"},
    };
    for (const Case& one : cases) {
        EXPECT_EQ(encode(one.message), hex(one.bytes)) << name_of(one.message);
        const auto read = decode(hex(one.bytes));
        ASSERT_TRUE(read) << name_of(one.message);
        EXPECT_TRUE(*read == one.message);
    }
}

TEST(MeshMessages, NothingCutShortOrWithABitMoreIsAMessage) {
    for (const Message& message : largest_messages()) {
        const auto whole = encode(message);
        for (size_t len = 0; len < whole.size(); ++len)
            EXPECT_FALSE(decode(std::span{whole}.first(len))) << name_of(message) << " " << len;
        auto longer = whole;
        longer.push_back(0);
        EXPECT_FALSE(decode(longer)) << name_of(message);
    }
}

// What is changed anywhere is refused, or is another message; it never reads as the same.
TEST(MeshMessages, OfOneMessageThereIsOneForm) {
    for (const Message& message : largest_messages()) {
        const auto whole = encode(message);
        for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
            auto changed = whole;
            changed[bit / 8] = static_cast<uint8_t>(changed[bit / 8] ^ 1U << bit % 8);
            const auto read = decode(changed);
            if (!read)
                continue;
            EXPECT_FALSE(*read == message) << name_of(message) << " bit " << bit;
            // Of another type it may have keys to pass over.
            if (read->index() == message.index()) {
                EXPECT_EQ(encode(*read), changed) << name_of(message) << " bit " << bit;
            }
        }
    }
}

TEST(MeshMessages, UnknownKeysArePassedOver) {
    // RelayClose 255 with keys 9 (a nested map with a tag and a float in it) and 300 (text).
    const auto read =
        decode(hex("a5 00 01 01 06 02 18 ff 09 a1 63 616263 82 c1 1a 60000000 fb 3ff8000000000000"
                   " 19 012c 61 7a"));
    ASSERT_TRUE(read);
    EXPECT_TRUE(*read == Message{RelayClose{255}});
}

TEST(MeshMessages, OtherVersionsAndTypesAreToldApartFromNonsense) {
    struct Case {
        const char* bytes;
        Undecodable reason;
    };
    const Case cases[] = {
        {"a3 00 02 01 06 02 00", Undecodable::other_version},
        {"a1 00 02", Undecodable::other_version},  // whatever else it has
        {"a3 00 01 01 0d 02 00", Undecodable::unknown_type},
        {"a3 00 01 01 00 02 00", Undecodable::unknown_type},
        {"a3 00 01 01 1b ffffffffffffffff 02 00", Undecodable::unknown_type},
        {"a0", Undecodable::malformed},
        {"a1 00 01", Undecodable::malformed},                               // no type
        {"a2 01 06 02 00", Undecodable::malformed},                         // no version
        {"a2 00 01 01 06", Undecodable::malformed},                         // no index
        {"a3 00 01 01 06 02 60", Undecodable::malformed},                   // text for a number
        {"a3 00 01 01 06 02 20", Undecodable::malformed},                   // -1
        {"a3 00 01 01 06 02 1b 0000000100000000", Undecodable::malformed},  // over 32 bits
        {"a3 00 01 01 06 02 18 17", Undecodable::malformed},                // 23, but longer
        {"a3 00 01 01 06 02 19 00ff", Undecodable::malformed},
        {"bf 00 01 01 06 02 00 ff", Undecodable::malformed},          // of indefinite length
        {"a3 01 06 00 01 02 00", Undecodable::malformed},             // keys out of order
        {"a4 00 01 01 06 02 00 02 00", Undecodable::malformed},       // a key twice
        {"a3 00 01 01 06 61 61 00", Undecodable::malformed},          // a key that is text
        {"a4 00 01 01 09 02 80 03 f9 3c00", Undecodable::malformed},  // 1.0 for true
        {"a4 00 01 01 09 02 80 03 f8 15", Undecodable::malformed},    // true, but longer
        {"ba ffffffff 00 01 01 06 02 00", Undecodable::malformed},
        {"a4 00 01 01 06 02 00 09 9b ffffffffffffffff", Undecodable::malformed},
        {"a4 00 01 01 06 02 00 09 bb 8000000000000000", Undecodable::malformed},
        {"a4 00 01 01 06 02 00 09 5b ffffffffffffffff 00", Undecodable::malformed},
        {"a5 00 01 01 05 02 01 03 00 04 06", Undecodable::malformed},  // an answer beyond the last
        {"a5 00 01 01 02 02 07 03 19 0801 04 10", Undecodable::malformed},      // between pieces
        {"a5 00 01 01 02 02 07 03 00 04 00", Undecodable::malformed},           // no pieces
        {"a5 00 01 01 02 02 07 03 00 04 18 41", Undecodable::malformed},        // too many
        {"a5 00 01 01 04 02 01 03 00 04 44 0a000001", Undecodable::malformed},  // IPv4 target
        {"a5 00 01 01 04 02 01 03 00 04 50 20010db8000000000000000000000001",
         Undecodable::malformed},
    };
    for (const Case& one : cases) {
        const auto read = decode(hex(one.bytes));
        ASSERT_FALSE(read) << one.bytes;
        EXPECT_STREQ(to_string(read.error()), to_string(one.reason)) << one.bytes;
    }
}

TEST(MeshMessages, DepthCostsNothing) {
    std::vector<uint8_t> deep = hex("a4 00 01 01 06 02 00 09");
    deep.resize(kMaxPaddedLen - 1, 0x81);
    deep.push_back(0);
    EXPECT_TRUE(decode(deep));  // arrays in arrays under a key that nobody knows
    deep.back() = 0x81;
    EXPECT_FALSE(decode(deep));
    deep.insert(deep.end() - 1, 0x81);
    deep.back() = 0;
    EXPECT_FALSE(decode(deep)) << "longer than a message may be";
}

TEST(MeshMessages, EndpointsThatNoDatagramIsForAreRefused) {
    for (const char* good : {"192.0.2.1:51820", "[2001:db8::1]:1", "10.0.0.1:65535", "[fd00::1]:9"})
        EXPECT_TRUE(is_plausible(endpoint(good))) << good;
    const auto mapped = hex("00000000000000000000ffff7f000001");
    std::vector<Endpoint> bad{{IpAddress::v6(mapped.data()), 51820}, {{}, 1}};
    for (const char* text :
         {"0.0.0.0:1", "0.1.2.3:1", "127.0.0.1:1", "127.9.9.9:1", "224.0.0.1:1", "240.0.0.1:1",
          "255.255.255.255:1", "169.254.0.1:1", "[::]:1", "[::1]:1", "[fe80::1]:1", "[ff02::1]:1"})
        bad.push_back(endpoint(text));
    bad.push_back({endpoint("192.0.2.1:1").address, 0});
    for (const Endpoint& one : bad)
        EXPECT_FALSE(is_plausible(one)) << to_string(one);
    EXPECT_FALSE(decode(hex("a3 00 01 01 08 02 82 44 7f000001 19 ca6c")));
    EXPECT_FALSE(decode(hex("a3 00 01 01 08 02 82 44 c0000201 00")));
    EXPECT_FALSE(decode(hex("a3 00 01 01 08 02 83 44 c0000201 01 01")));
    EXPECT_FALSE(decode(hex("a3 00 01 01 08 02 82 43 c00002 01")));
}

TEST(MeshMessages, OnlyHandshakeMessagesTravelAsSuch) {
    constexpr std::array<size_t, 3> kLengths{148, 92, 64};  // of types 1, 2, 3
    for (uint8_t type = 1; type <= 3; ++type) {
        const auto bytes = handshake_bytes(type, kLengths[type - 1U]);
        const auto good = encode(Handshake{node(1), node(2), 3, bytes});
        EXPECT_TRUE(decode(good)) << int{type};
        for (uint8_t other = 0; other <= 4; ++other) {
            auto changed = good;
            *(changed.end() - static_cast<std::ptrdiff_t>(bytes.size())) = other;
            EXPECT_EQ(decode(changed).has_value(), other == type) << int{type} << int{other};
        }
    }
    auto data = encode(Handshake{node(1), node(2), 3, handshake_bytes(3, 64)});
    *(data.end() - 64) = 4;
    EXPECT_FALSE(decode(data));
    *(data.end() - 64) = 3;
    EXPECT_TRUE(decode(data));
    *(data.end() - 61) = 1;
    EXPECT_FALSE(decode(data)) << "reserved bytes";
}

TEST(MeshMessages, ListsAreBounded) {
    std::vector<uint8_t> many = hex("a4 00 01 01 09 02 91");  // 17 endpoints
    for (size_t i = 0; i <= kMaxCandidates; ++i) {
        const auto one = hex("82 44 c0000201 01");
        many.insert(many.end(), one.begin(), one.end());
    }
    many.push_back(0x03);
    many.push_back(0xf4);
    EXPECT_FALSE(decode(many));
    many[6] = 0x90;
    many.erase(many.begin() + 7, many.begin() + 14);
    EXPECT_TRUE(decode(many));
}

TEST(MeshMessages, RandomBytesAreNeverMuch) {
    std::mt19937 random{7};
    for (int round = 0; round < 20'000; ++round) {
        auto bytes = encode(largest_messages()[random() % std::variant_size_v<Message>]);
        for (unsigned changes = random() % 4; changes > 0; --changes)
            bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
        if (const auto read = decode(bytes)) {
            const auto again = decode(encode(*read));
            ASSERT_TRUE(again);
            EXPECT_TRUE(*again == *read);
        }
    }
}

}  // namespace meshgate::mesh::test
