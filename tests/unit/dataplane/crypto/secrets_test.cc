// SPDX-License-Identifier: Apache-2.0
// Looks for secrets in the memory of this process after the work is done (W35).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/crypto/aead.h"
#include "dataplane/tables/keypair.h"
#include "tests/unit/dataplane/crypto/aead_engines.h"

namespace meshgate {
namespace {

// 16 secret bytes, stored inverted, so that a search does not find what it searches for.
using Needle = std::array<uint8_t, 16>;

constexpr std::array<uint8_t, 32> kKey{
    0xc3, 0x8d, 0x65, 0x4b, 0x3f, 0x41, 0x51, 0x6f, 0x9b, 0xd5, 0x1d, 0x73, 0xd7, 0x49, 0xc9, 0x57,
    0xf3, 0x9d, 0x55, 0x1b, 0xef, 0xd1, 0xc1, 0xbf, 0xcb, 0xe5, 0x0d, 0x43, 0x87, 0xd9, 0x39, 0xa7};
constexpr uint64_t kCounter = 0x1122'3344'5566'7788;
// ChaCha20 of that key and counter: the one-time key of Poly1305 (r and s), and where the keystream
// for the text begins. From OpenSSL.
constexpr Needle kMaskedR{0x85, 0xe8, 0xd6, 0x7d, 0xa1, 0xfb, 0xc8, 0x1c,
                          0xb8, 0x07, 0x02, 0xd3, 0x97, 0x86, 0x37, 0xd0};
constexpr Needle kMaskedS{0xac, 0x12, 0x53, 0xa5, 0x23, 0xb3, 0xae, 0xbc,
                          0x67, 0xa9, 0x2c, 0x25, 0x66, 0x23, 0x08, 0xd6};
constexpr Needle kMaskedKeystream{0x4d, 0xd1, 0x41, 0x03, 0xf8, 0x8c, 0x12, 0x89,
                                  0xab, 0x67, 0x34, 0x05, 0x70, 0x34, 0x6e, 0x4f};
// The tag that the third packet below ought to have once it is forged.
constexpr Needle kMaskedForgedTag{0x14, 0xb0, 0x98, 0xc5, 0x23, 0xa7, 0xd3, 0xf6,
                                  0x83, 0xdf, 0xb1, 0xc4, 0x59, 0x97, 0xc6, 0x52};

Needle masked(const uint8_t* secret) {
    Needle needle;
    std::transform(secret, secret + needle.size(), needle.begin(),
                   [](uint8_t byte) { return static_cast<uint8_t>(~byte); });
    return needle;
}

size_t count_in(std::span<const uint8_t> piece, const Needle& needle) {
    const auto inverse = [](uint8_t a, uint8_t b) { return static_cast<uint8_t>(~a) == b; };
    size_t count = 0;
    while (piece.size() >= needle.size()) {
        // Nearly all of it is passed over by the first byte.
        const void* found = std::memchr(piece.data(), static_cast<uint8_t>(~needle[0]),
                                        piece.size() - needle.size() + 1);
        if (found == nullptr)
            break;
        piece =
            piece.subspan(static_cast<size_t>(static_cast<const uint8_t*>(found) - piece.data()));
        count += std::equal(needle.begin(), needle.end(), piece.begin(), inverse) ? 1 : 0;
        piece = piece.subspan(1);
    }
    return count;
}

// A page range of its own (shared, so that the kernel does not merge it with its neighbours), which
// the search can leave out: read into itself, it would multiply what it finds.
class SearchBuffer {
public:
    static constexpr size_t kLen = size_t{1} << 20;

    SearchBuffer()
        : bytes_{static_cast<uint8_t*>(
              mmap(nullptr, kLen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))} {}
    ~SearchBuffer() { munmap(bytes_, kLen); }
    SearchBuffer(const SearchBuffer&) = delete;
    SearchBuffer& operator=(const SearchBuffer&) = delete;

    uint8_t* data() { return bytes_; }
    bool is_at(uintptr_t begin) const { return reinterpret_cast<uintptr_t>(bytes_) == begin; }

private:
    uint8_t* bytes_;
};

// How often the secret occurs in writable memory, stacks and heap included. Reads through the
// kernel, since a sanitizer would object to the rest; leaves out its enormous shadow maps.
size_t occurrences(const Needle& needle) {
    constexpr size_t kStep = SearchBuffer::kLen - std::tuple_size_v<Needle> + 1;
    constexpr uintptr_t kGreatestMap = uintptr_t{256} << 20;
    SearchBuffer buffer;
    FILE* maps = std::fopen("/proc/self/maps", "r");
    const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    EXPECT_TRUE(maps != nullptr && memory >= 0);
    size_t count = 0;
    std::array<char, 512> line{};
    while (std::fgets(line.data(), static_cast<int>(line.size()), maps) != nullptr) {
        unsigned long begin = 0;
        unsigned long end = 0;
        char readable = 0;
        char writable = 0;
        if (std::sscanf(line.data(), "%lx-%lx %c%c", &begin, &end, &readable, &writable) != 4 ||
            readable != 'r' || writable != 'w' || end - begin > kGreatestMap || buffer.is_at(begin))
            continue;
        for (; begin < end; begin += kStep) {
            const ssize_t len =
                pread(memory, buffer.data(), std::min<size_t>(SearchBuffer::kLen, end - begin),
                      static_cast<off_t>(begin));
            count +=
                count_in({buffer.data(), static_cast<size_t>(std::max<ssize_t>(len, 0))}, needle);
        }
    }
    close(memory);
    std::fclose(maps);
    return count;
}

TEST(Secrets, AreFoundByTheSearch) {
    auto copy = std::make_unique<std::array<uint8_t, 32>>(kKey);
    const size_t nb_found = occurrences(masked(kKey.data()));
    EXPECT_GE(nb_found, 1U);
    copy->fill(0);
    EXPECT_EQ(occurrences(masked(kKey.data())), nb_found - 1);
}

TEST(Secrets, DoNotOutliveAKeypair) {
    const size_t before = occurrences(masked(kKey.data()));
    auto keypair = std::make_unique<Keypair>();
    std::copy(kKey.begin(), kKey.end(), keypair->send_key.begin());
    std::copy(kKey.begin(), kKey.end(), keypair->receive_key.begin());
    EXPECT_EQ(occurrences(masked(kKey.data())), before + 2);
    keypair.reset();
    EXPECT_EQ(occurrences(masked(kKey.data())), before);
}

class EngineSecrets : public testing::TestWithParam<AeadEngineRow> {};

INSTANTIATE_TEST_SUITE_P(Engines, EngineSecrets, testing::ValuesIn(engines_of_this_processor()),
                         [](const auto& row) { return test_name_of(row.param); });

// Neither keys nor what is derived from them stays on the stack or in the engine, and of a forged
// packet not the tag that would have been right.
TEST_P(EngineSecrets, DoNotStayAfterABatch) {
    auto engine = GetParam().factory();
    ASSERT_TRUE(engine);
    constexpr size_t kNbJobs = 5;
    std::vector<std::array<uint8_t, 1500>> data(kNbJobs);
    std::vector<AeadJob> jobs;
    const std::array<uint32_t, kNbJobs> lens{32, 64, 100, 300, 1400};
    for (size_t i = 0; i < kNbJobs; ++i) {
        for (size_t n = 0; n < data[i].size(); ++n)
            data[i][n] = static_cast<uint8_t>(n * 11 + i * 13 + (n >> 8));
        jobs.push_back(
            {.key = kKey.data(), .counter = kCounter, .data = data[i].data(), .len = lens[i]});
    }
    const size_t nb_keys = occurrences(masked(kKey.data()));
    (*engine)->seal(jobs);
    for (AeadJob& job : jobs)
        job.len += static_cast<uint32_t>(kAeadTagLen);
    data[2][10] ^= 0x40;
    (*engine)->open(jobs);
    EXPECT_TRUE(jobs[1].ok);
    EXPECT_FALSE(jobs[2].ok);
    EXPECT_EQ(occurrences(masked(kKey.data())), nb_keys);
    EXPECT_EQ(occurrences(kMaskedR), 0U);
    EXPECT_EQ(occurrences(kMaskedS), 0U);
    EXPECT_EQ(occurrences(kMaskedKeystream), 0U);
    EXPECT_EQ(occurrences(kMaskedForgedTag), 0U);
}

// An engine that spreads lanes over packets holds a word of sixteen packets in a row: with sixteen
// equal packets each secret word stands there sixteen times, or, as a number's limb, eight times.
TEST_P(EngineSecrets, DoNotStayAcrossLanes) {
    auto engine = GetParam().factory();
    ASSERT_TRUE(engine);
    std::vector<std::array<uint8_t, 1500>> data(16);
    std::vector<AeadJob> jobs;
    for (auto& packet : data) {
        packet.fill(0x5a);
        jobs.push_back(
            {.key = kKey.data(), .counter = kCounter, .data = packet.data(), .len = 900});
    }
    (*engine)->seal(jobs);
    for (AeadJob& job : jobs)
        job.len += static_cast<uint32_t>(kAeadTagLen);
    (*engine)->open(jobs);
    // The packet whose forged tag is known, sixteen times.
    for (AeadJob& job : jobs) {
        for (size_t n = 0; n < 100; ++n)
            job.data[n] = static_cast<uint8_t>(n * 11 + 2 * 13 + (n >> 8));
        job.len = 100;
    }
    (*engine)->seal(jobs);
    for (AeadJob& job : jobs) {
        job.len += static_cast<uint32_t>(kAeadTagLen);
        job.data[10] ^= 0x40;
    }
    (*engine)->open(jobs);
    EXPECT_FALSE(jobs[0].ok);
    const auto repeated = [](const uint8_t* secret, size_t len) {
        Needle needle;
        for (size_t i = 0; i < needle.size(); ++i)
            needle[i] = static_cast<uint8_t>(~secret[i % len]);
        return needle;
    };
    for (size_t word = 0; word < kKey.size(); word += 4)
        EXPECT_EQ(occurrences(repeated(&kKey[word], 4)), 0U)
            << "word " << word / 4 << " of the key";
    for (size_t half = 0; half < 16; half += 8) {
        std::array<uint8_t, 8> tag;
        std::transform(&kMaskedForgedTag[half], &kMaskedForgedTag[half] + 8, tag.begin(),
                       [](uint8_t byte) { return static_cast<uint8_t>(~byte); });
        EXPECT_EQ(occurrences(repeated(tag.data(), 8)), 0U) << "a forged packet's right tag";
    }
    Needle r;
    std::transform(kMaskedR.begin(), kMaskedR.end(), r.begin(),
                   [](uint8_t byte) { return static_cast<uint8_t>(~byte); });
    for (size_t word = 0; word < r.size(); word += 4)
        EXPECT_EQ(occurrences(repeated(&r[word], 4)), 0U) << "word " << word / 4 << " of r";
    // r, clamped, in limbs of 44 and of 26 bits.
    uint64_t low = 0, high = 0;
    std::memcpy(&low, r.data(), 8);
    std::memcpy(&high, r.data() + 8, 8);
    low &= 0x0fff'fffc'0fff'ffff;
    high &= 0x0fff'fffc'0fff'fffc;
    for (const uint64_t limb : std::array<uint64_t, 6>{
             low & ((1ULL << 44) - 1), (low >> 44 | high << 20) & ((1ULL << 44) - 1), high >> 24,
             low & ((1ULL << 26) - 1), low >> 26 & ((1ULL << 26) - 1), high >> 40}) {
        std::array<uint8_t, 8> bytes;
        std::memcpy(bytes.data(), &limb, 8);
        EXPECT_EQ(occurrences(repeated(bytes.data(), 8)), 0U) << "a limb of r";
    }
}

}  // namespace
}  // namespace meshgate
