// SPDX-License-Identifier: Apache-2.0
#include "base/checksum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace meshgate {
namespace {

using Bytes = std::vector<uint8_t>;
constexpr uint8_t kTcp = 6, kUdp = 17;

// RFC 1071, word by word; what a receiver does. 0 when all is right.
uint16_t naive(const Bytes& bytes) {
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes.size(); ++i)
        sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

Bytes random_bytes(std::mt19937_64& random, size_t len) {
    Bytes bytes(len);
    std::ranges::generate(bytes, [&] { return static_cast<uint8_t>(random()); });
    return bytes;
}

// Pseudo-header and datagram as RFC 768 and RFC 8200 lay them out.
Bytes pseudo(const Bytes& addresses, uint8_t proto, const Bytes& l4) {
    Bytes all = addresses;
    const auto len = static_cast<uint16_t>(l4.size());
    all.insert(all.end(), {0, proto, static_cast<uint8_t>(len >> 8), static_cast<uint8_t>(len)});
    all.insert(all.end(), l4.begin(), l4.end());
    return all;
}

uint16_t on_the_wire(uint16_t checksum) {
    return static_cast<uint16_t>(checksum << 8 | checksum >> 8);
}

TEST(Checksum, AddsUpBytesOfAnyLengthAnywhere) {
    std::mt19937_64 random{1};
    for (size_t len = 0; len < 330; ++len) {
        for (size_t offset = 0; offset < 5; ++offset) {
            const Bytes bytes = random_bytes(random, offset + len);
            const Bytes part(bytes.begin() + static_cast<ptrdiff_t>(offset), bytes.end());
            const auto sum = internet_sum(std::span{bytes}.subspan(offset)) % kSumModulus;
            EXPECT_EQ(on_the_wire(static_cast<uint16_t>(~sum)) % kSumModulus,
                      naive(part) % kSumModulus)
                << len << " bytes at " << offset;
            EXPECT_EQ(internet_sum_sse2(std::span{bytes}.subspan(offset)) % kSumModulus, sum);
        }
    }
}

TEST(Checksum, DoesNotOverflow) {
    const Bytes ones(65'535, 0xff);
    EXPECT_EQ(internet_sum(ones) % kSumModulus, 0x00ffU) << "0xff and a zero behind the last word";
    EXPECT_EQ(internet_sum_sse2(ones) % kSumModulus, 0x00ffU);
}

TEST(Checksum, IsWhatAReceiverWants) {
    std::mt19937_64 random{2};
    for (const size_t nb_addresses : {8U, 32U}) {
        for (const uint8_t proto : {kTcp, kUdp}) {
            for (size_t len = 20; len < 1500; len += 1 + random() % 7) {
                const Bytes addresses = random_bytes(random, nb_addresses);
                Bytes l4 = random_bytes(random, len);
                const size_t field = proto == kTcp ? 16 : 6;
                l4[field] = l4[field + 1] = 0;
                const uint16_t checksum = l4_checksum(addresses, proto, l4);
                std::memcpy(&l4[field], &checksum, sizeof checksum);
                EXPECT_EQ(naive(pseudo(addresses, proto, l4)), 0) << len;
            }
        }
    }
}

// All words together 0xffff: the sum whose complement is zero.
TEST(Checksum, NeverSaysOfUdpThatThereIsNone) {
    const Bytes addresses(8);
    for (const uint8_t proto : {kTcp, kUdp}) {
        Bytes l4(20);
        const uint16_t rest = 0xffff - proto - 20;
        l4[0] = static_cast<uint8_t>(rest >> 8);
        l4[1] = static_cast<uint8_t>(rest);
        EXPECT_EQ(l4_checksum(addresses, proto, l4), proto == kUdp ? 0xffff : 0);
    }
}

}  // namespace
}  // namespace meshgate
