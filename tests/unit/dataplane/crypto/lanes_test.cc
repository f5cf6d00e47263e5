// SPDX-License-Identifier: Apache-2.0
// The kernels of the cross-packet engine, below what an AEAD can be asked: numbers that a random
// key never meets, and what they leave in memory.
#include "dataplane/crypto/lanes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <boost/multiprecision/cpp_int.hpp>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace meshgate {
namespace {

using boost::multiprecision::cpp_int;

struct Kernels {
    const char* name;
    unsigned chacha_lanes;
    unsigned poly_lanes;
    void (*chacha)(ChachaPass&) noexcept;
    void (*poly)(PolyGroup&) noexcept;
    void (*wipe_registers)() noexcept;
    bool (*works)() noexcept;
};

constexpr std::array<Kernels, 2> kKernels{{
    {"avx512", 16, 16, chacha_avx512, poly_avx512, wipe_avx512_registers,
     []() noexcept {
         return __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi2") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
     }},
    {"avx2", 8, 4, chacha_avx2, poly_avx2, wipe_avx2_registers,
     []() noexcept { return static_cast<bool>(__builtin_cpu_supports("avx2")); }},
}};

std::vector<Kernels> kernels_of_this_processor() {
    std::vector<Kernels> kernels{kKernels.begin(), kKernels.end()};
    std::erase_if(kernels, [](const Kernels& one) { return !one.works(); });
    return kernels;
}

class Lanes : public testing::TestWithParam<Kernels> {};

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Lanes);
INSTANTIATE_TEST_SUITE_P(Kernels, Lanes, testing::ValuesIn(kernels_of_this_processor()),
                         [](const auto& kernels) { return std::string{kernels.param.name}; });

// ---- Poly1305 against integers of any size (RFC 8439, 2.5.1) ----

cpp_int number_of(const uint8_t* bytes, size_t len) {
    cpp_int number = 0;
    for (size_t i = len; i-- > 0;)
        number = (number << 8) + bytes[i];
    return number;
}

struct Message {
    std::vector<uint8_t> data;
    std::array<uint8_t, 32> one_time_key{};
};

std::array<uint8_t, 16> tag_by_integers(const Message& message) {
    std::vector<uint8_t> text = message.data;
    text.resize((text.size() + 15) / 16 * 16);
    text.resize(text.size() + 8);
    const uint64_t len = message.data.size();
    text.insert(text.end(), reinterpret_cast<const uint8_t*>(&len),
                reinterpret_cast<const uint8_t*>(&len) + 8);
    const cpp_int p = (cpp_int{1} << 130) - 5;
    const cpp_int clamp{"0x0ffffffc0ffffffc0ffffffc0fffffff"};
    const cpp_int r = number_of(message.one_time_key.data(), 16) & clamp;
    cpp_int h = 0;
    for (size_t i = 0; i < text.size(); i += 16)
        h = (h + number_of(&text[i], 16) + (cpp_int{1} << 128)) * r % p;
    h += number_of(message.one_time_key.data() + 16, 16);
    std::array<uint8_t, 16> tag;
    for (uint8_t& byte : tag) {
        byte = static_cast<uint8_t>(h & 0xff);
        h >>= 8;
    }
    return tag;
}

void expect_tags(const Kernels& kernels, const std::vector<Message>& messages) {
    for (size_t begin = 0; begin < messages.size(); begin += kernels.poly_lanes) {
        const size_t n = std::min<size_t>(kernels.poly_lanes, messages.size() - begin);
        PolyGroup group{};
        group.nb_lanes = static_cast<unsigned>(n);
        for (size_t i = 0; i < kernels.poly_lanes; ++i) {
            const Message& message = messages[begin + std::min(i, n - 1)];
            group.lanes[i] = {message.data.data(), message.one_time_key.data(),
                              message.data.size()};
        }
        kernels.poly(group);
        for (size_t i = 0; i < n; ++i) {
            std::array<uint8_t, 16> tag;
            std::memcpy(tag.data(), &group.tag_low[i], 8);
            std::memcpy(tag.data() + 8, &group.tag_high[i], 8);
            ASSERT_EQ(tag, tag_by_integers(messages[begin + i]))
                << "message " << begin + i << " of " << messages[begin + i].data.size() << " bytes";
        }
    }
}

// With r = 1 a tag is the sum of the blocks, so that it can be put where one likes: at p and beside
// it, where only the last reduction helps; and s = 2^128 - 1 carries out of every bit.
TEST_P(Lanes, ReducesNumbersAroundTheModulus) {
    const cpp_int p = (cpp_int{1} << 130) - 5;
    std::vector<Message> messages;
    for (int offset = -8; offset <= 8; ++offset) {
        for (const uint8_t s : std::array<uint8_t, 2>{0x00, 0xff}) {
            Message message;
            message.data.resize(32);
            message.one_time_key[0] = 1;
            std::fill(message.one_time_key.begin() + 16, message.one_time_key.end(), s);
            // Both blocks and the length block bring 2^128 each, and that the length times 2^64.
            cpp_int first = p + offset - 3 * (cpp_int{1} << 128) - (cpp_int{32} << 64);
            for (size_t i = 0; i < 16; ++i, first >>= 8)
                message.data[i] = static_cast<uint8_t>(first & 0xff);
            ASSERT_EQ(first, 0);
            messages.push_back(message);
        }
    }
    expect_tags(GetParam(), messages);
}

// Limbs as full as they get: all ones in r, s and text, or all zeros, at every length that begins
// or ends inside a chunk, alike and mixed within a group.
TEST_P(Lanes, AuthenticatesExtremeNumbers) {
    std::mt19937_64 random{7};
    std::vector<Message> messages;
    for (const uint8_t text : std::array<uint8_t, 2>{0x00, 0xff}) {
        for (const uint8_t key : std::array<uint8_t, 2>{0x00, 0xff}) {
            for (size_t len = 0; len <= 330; ++len) {
                Message message;
                message.data.assign(len, text);
                message.one_time_key.fill(key);
                messages.push_back(message);
            }
        }
    }
    expect_tags(GetParam(), messages);
    std::shuffle(messages.begin(), messages.end(), random);
    for (Message& message : messages) {
        if (random() % 2 == 0)
            std::generate(message.one_time_key.begin(), message.one_time_key.end(),
                          [&] { return static_cast<uint8_t>(random()); });
    }
    expect_tags(GetParam(), messages);
}

// ---- ChaCha20 (RFC 8439, 2.3) ----

// By the book, a word at a time.
std::array<uint8_t, 64> block_by_the_book(const uint8_t* key, uint32_t counter, uint64_t nonce) {
    std::array<uint32_t, 16> initial{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    std::memcpy(&initial[4], key, 32);
    initial[12] = counter;
    std::memcpy(&initial[14], &nonce, 8);
    std::array<uint32_t, 16> x = initial;
    const auto rotate = [](uint32_t v, int n) { return (v << n) | (v >> (32 - n)); };
    const auto quarter = [&](size_t a, size_t b, size_t c, size_t d) {
        x[d] = rotate(x[d] ^ (x[a] += x[b]), 16);
        x[b] = rotate(x[b] ^ (x[c] += x[d]), 12);
        x[d] = rotate(x[d] ^ (x[a] += x[b]), 8);
        x[b] = rotate(x[b] ^ (x[c] += x[d]), 7);
    };
    for (int round = 0; round < 20; round += 2) {
        for (size_t i = 0; i < 4; ++i)
            quarter(i, 4 + i, 8 + i, 12 + i);
        for (size_t i = 0; i < 4; ++i)
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
    }
    std::array<uint8_t, 64> block;
    for (size_t i = 0; i < 16; ++i) {
        x[i] += initial[i];
        std::memcpy(&block[4 * i], &x[i], 4);
    }
    return block;
}

TEST(LanesReference, AgreesWithTheRfc) {
    const std::array<uint8_t, 32> key{};
    const std::array<uint8_t, 64> block = block_by_the_book(key.data(), 0, 0);
    // RFC 8439, A.1, test vector 1.
    const std::array<uint8_t, 16> begin{0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90,
                                        0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28};
    EXPECT_TRUE(std::equal(begin.begin(), begin.end(), block.begin()));
    EXPECT_EQ(block[62], 0x65);
    EXPECT_EQ(block[63], 0x86);
}

struct Passes : Lanes {
    void SetUp() override {
        std::mt19937_64 random{11};
        for (auto& key : keys)
            std::generate(key.begin(), key.end(), [&] { return static_cast<uint8_t>(random()); });
    }
    void describe(ChachaPass& pass) {
        for (unsigned i = 0; i < GetParam().chacha_lanes; ++i) {
            pass.lanes[i] = {keys[i].data(), text[i].data(), 100 + i, 0, nonce(i), 64};
            pass.quad[i / 4] = {keys[i].data(), quads[i / 4].data(), 0xffff'fffd, 0, nonce(i)};
        }
        pass.keystream_to = rows;
    }
    static uint64_t nonce(unsigned i) { return 0x0102'0304'0506'0708 * (i + 1); }

    std::array<std::array<uint8_t, 32>, 16> keys;
    std::array<std::array<uint8_t, 80>, 16> text{};
    std::array<std::array<uint8_t, 256 + 16>, 4> quads{};
    uint8_t rows[16][kChachaBlockLen] = {};
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Passes);
INSTANTIATE_TEST_SUITE_P(Kernels, Passes, testing::ValuesIn(kernels_of_this_processor()),
                         [](const auto& kernels) { return std::string{kernels.param.name}; });

TEST_P(Passes, MakeEveryLanesOwnBlock) {
    for (unsigned lane = 0; lane < GetParam().chacha_lanes; ++lane) {
        for (uint64_t len = 0; len <= 64; ++len) {
            ChachaPass pass{};
            text = {};
            describe(pass);
            pass.kind = ChachaPass::blocks;
            pass.lanes[lane].len = len;
            GetParam().chacha(pass);
            for (unsigned i = 0; i < GetParam().chacha_lanes; ++i) {
                const auto block = block_by_the_book(keys[i].data(), 100 + i, nonce(i));
                std::array<uint8_t, 80> wanted{};
                std::copy_n(block.begin(), i == lane ? len : 64, wanted.begin());
                ASSERT_EQ(text[i], wanted) << "lane " << i << ", " << len << " in lane " << lane;
            }
        }
    }
}

TEST_P(Passes, MakeQuadsAndKeystream) {
    ChachaPass pass{};
    describe(pass);
    pass.kind = ChachaPass::keystream;
    GetParam().chacha(pass);
    pass.kind = ChachaPass::quads;
    GetParam().chacha(pass);
    for (unsigned i = 0; i < GetParam().chacha_lanes; ++i) {
        const auto block = block_by_the_book(keys[i].data(), 100 + i, nonce(i));
        ASSERT_TRUE(std::equal(block.begin(), block.end(), rows[i])) << i;
        EXPECT_EQ(text[i][0], 0);
        const unsigned last =
            i / 4 * 4 + 3;  // describe() leaves each quad with its last lane's key
        const auto quad = block_by_the_book(keys[last].data(), 0xffff'fffd + i % 4, nonce(last));
        ASSERT_TRUE(std::equal(quad.begin(), quad.end(), &quads[i / 4][i % 4 * 64])) << i;
    }
    for (unsigned q = 0; q < GetParam().chacha_lanes / 4; ++q)
        EXPECT_EQ(quads[q][256], 0);
}

// ---- what stays behind ----

// Registers 16 to 31 are those that nothing but the kernels uses.
using Registers = std::array<uint8_t, 16 * 64>;

Registers upper_registers() {
    alignas(64) Registers registers;
    uint8_t* to = registers.data();
    asm volatile(
        "vmovdqu64 %%zmm16, 0(%0)\n vmovdqu64 %%zmm17, 64(%0)\n vmovdqu64 %%zmm18, 128(%0)\n"
        "vmovdqu64 %%zmm19, 192(%0)\n vmovdqu64 %%zmm20, 256(%0)\n vmovdqu64 %%zmm21, 320(%0)\n"
        "vmovdqu64 %%zmm22, 384(%0)\n vmovdqu64 %%zmm23, 448(%0)\n vmovdqu64 %%zmm24, 512(%0)\n"
        "vmovdqu64 %%zmm25, 576(%0)\n vmovdqu64 %%zmm26, 640(%0)\n vmovdqu64 %%zmm27, 704(%0)\n"
        "vmovdqu64 %%zmm28, 768(%0)\n vmovdqu64 %%zmm29, 832(%0)\n vmovdqu64 %%zmm30, 896(%0)\n"
        "vmovdqu64 %%zmm31, 960(%0)\n" ::"r"(to)
        : "memory");
    return registers;
}

struct Avx512Passes : Passes {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Avx512Passes);
INSTANTIATE_TEST_SUITE_P(Kernels, Avx512Passes, testing::ValuesIn([] {
                             std::vector<Kernels> kernels = kernels_of_this_processor();
                             std::erase_if(kernels, [](const Kernels& one) {
                                 return one.chacha != chacha_avx512;
                             });
                             return kernels;
                         }()));

TEST_P(Avx512Passes, LeaveNothingInRegistersOnceWiped) {
    ChachaPass pass{};
    describe(pass);
    pass.kind = ChachaPass::keystream;
    GetParam().chacha(pass);
    EXPECT_NE(upper_registers(), Registers{}) << "nothing to wipe: this test shows nothing";
    GetParam().wipe_registers();
    EXPECT_EQ(upper_registers(), Registers{});
}

}  // namespace
}  // namespace meshgate
