// SPDX-License-Identifier: Apache-2.0
#include "dataplane/host/super_packet.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "base/checksum.h"

namespace meshgate {
namespace {

constexpr uint16_t kEther = 14, kTcpLen = 20;
constexpr uint8_t kTcp = 6, kFinPshAckCwr = 0x99;

uint16_t number_at(const std::vector<uint8_t>& bytes, size_t offset) {
    return static_cast<uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

uint32_t sequence_of(const std::vector<uint8_t>& bytes, size_t tcp) {
    return uint32_t{number_at(bytes, tcp + 4)} << 16 | number_at(bytes, tcp + 6);
}

// A TCP stream's piece as the kernel hands it over.
struct Stream {
    std::vector<uint8_t> bytes;
    OffloadHeader header;
    uint16_t tcp = 0;

    Stream(bool v4, size_t payload_len, uint16_t segment_len) {
        const uint16_t ip_len = v4 ? 20 : 40;
        tcp = static_cast<uint16_t>(kEther + ip_len);
        bytes.resize(tcp + kTcpLen + payload_len);
        for (size_t i = 0; i < payload_len; ++i)
            bytes[tcp + kTcpLen + i] = static_cast<uint8_t>(i * 7);
        bytes[kEther] = v4 ? 0x45 : 0x60;
        if (v4) {
            bytes[kEther + 4] = 0xff;  // the identification wraps
            bytes[kEther + 5] = 0xff;
            bytes[kEther + 9] = kTcp;
        } else {
            bytes[kEther + 6] = kTcp;
        }
        for (size_t i = v4 ? 12 : 8; i < ip_len; ++i)
            bytes[kEther + i] = static_cast<uint8_t>(i);
        bytes[tcp + 4] = 0xff;  // and so does the sequence number
        bytes[tcp + 5] = 0xff;
        bytes[tcp + 6] = 0xff;
        bytes[tcp + 12] = 0x50;
        bytes[tcp + 13] = kFinPshAckCwr;
        header = {.flags = OffloadHeader::kNeedsChecksum,
                  .kind = v4 ? OffloadHeader::kTcpV4 : OffloadHeader::kTcpV6,
                  .segment_len = segment_len,
                  .checksum_start = tcp,
                  .checksum_offset = 16};
    }
};

// A sum that contains its own checksum is a multiple of the modulus.
bool checksum_right(const std::vector<uint8_t>& piece, bool v4, uint16_t tcp) {
    const size_t addresses = v4 ? kEther + 12 : kEther + 8;
    const size_t len = v4 ? 8 : 32;
    const uint64_t sum = internet_sum(std::span{piece}.subspan(addresses, len)) + htons(kTcp) +
                         htons(static_cast<uint16_t>(piece.size() - tcp)) +
                         internet_sum(std::span{piece}.subspan(tcp));
    return sum % kSumModulus == 0;
}

void check_cut(bool v4, size_t payload_len, uint16_t segment_len) {
    const Stream stream{v4, payload_len, segment_len};
    const auto packet = SuperPacket::parse(stream.header, stream.bytes, kEther);
    ASSERT_TRUE(packet);
    ASSERT_EQ(packet->nb_pieces(), (payload_len + segment_len - 1) / segment_len);
    std::vector<uint8_t> joined;
    for (unsigned i = 0; i < packet->nb_pieces(); ++i) {
        std::vector<uint8_t> piece(packet->piece_len(i));
        packet->write(i, piece.data());
        const bool last = i + 1 == packet->nb_pieces();
        EXPECT_EQ(sequence_of(piece, stream.tcp),
                  0xffffff00U + static_cast<uint32_t>(joined.size()));
        EXPECT_EQ(piece[stream.tcp + 13], (last ? 0x19 : 0x10) | (i == 0 ? 0x80 : 0));
        EXPECT_TRUE(checksum_right(piece, v4, stream.tcp)) << i;
        if (v4) {
            EXPECT_EQ(number_at(piece, kEther + 2), piece.size() - kEther);
            EXPECT_EQ(number_at(piece, kEther + 4), static_cast<uint16_t>(0xffff + i));
            EXPECT_EQ(internet_sum(std::span{piece}.subspan(kEther, 20)) % kSumModulus, 0U);
        } else {
            EXPECT_EQ(number_at(piece, kEther + 4), piece.size() - kEther - 40);
        }
        joined.insert(joined.end(), piece.begin() + stream.tcp + kTcpLen, piece.end());
    }
    EXPECT_TRUE(std::ranges::equal(joined, std::span{stream.bytes}.subspan(stream.tcp + kTcpLen)));
}

TEST(SuperPacket, CutsStreamsIntoSegments) {
    for (const bool v4 : {true, false}) {
        check_cut(v4, 1, 1448);
        check_cut(v4, 1448, 1448);
        check_cut(v4, 1449, 1448);
        check_cut(v4, 65'000, 1448);
        check_cut(v4, 64'001, 536);
    }
}

TEST(SuperPacket, FinishesOneChecksum) {
    Stream stream{true, 33, 0};
    stream.header.kind = OffloadHeader::kWhole;
    // What the kernel leaves in the field: the sum of the pseudo-header.
    const uint64_t pseudo = internet_sum(std::span{stream.bytes}.subspan(kEther + 12, 8)) +
                            htons(kTcp) + htons(kTcpLen + 33);
    const auto field = static_cast<uint16_t>(pseudo % kSumModulus);
    std::memcpy(&stream.bytes[stream.tcp + 16U], &field, sizeof field);
    const auto packet = SuperPacket::parse(stream.header, stream.bytes, kEther);
    ASSERT_TRUE(packet);
    ASSERT_EQ(packet->nb_pieces(), 1U);
    std::vector<uint8_t> piece(packet->piece_len(0));
    packet->write(0, piece.data());
    EXPECT_TRUE(checksum_right(piece, true, stream.tcp));
}

// Whoever holds a packet socket writes such headers: none makes us read or write elsewhere.
TEST(SuperPacket, SurvivesAnyHeader) {
    std::mt19937 random{3};
    for (unsigned i = 0; i < 100'000; ++i) {
        Stream stream{random() % 2 == 0, random() % 3000, 100};
        auto* bytes = reinterpret_cast<uint8_t*>(&stream.header);
        for (unsigned n = random() % 4; n > 0; --n)
            bytes[random() % sizeof stream.header] = static_cast<uint8_t>(random());
        stream.bytes[random() % stream.bytes.size()] = static_cast<uint8_t>(random());
        stream.bytes.resize(random() % 2 == 0 ? stream.bytes.size() : random() % 80);
        const auto packet = SuperPacket::parse(stream.header, stream.bytes, kEther);
        for (unsigned piece = 0; packet && piece < packet->nb_pieces(); ++piece) {
            std::vector<uint8_t> out(packet->piece_len(piece));
            packet->write(piece, out.data());
        }
    }
}

}  // namespace
}  // namespace meshgate
