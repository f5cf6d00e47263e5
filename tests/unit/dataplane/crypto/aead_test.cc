// SPDX-License-Identifier: Apache-2.0
#include "dataplane/crypto/aead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/dataplane/crypto/aead_engines.h"

namespace meshgate {
namespace {

struct Vector {
    std::string comment;
    std::vector<uint8_t> key;
    uint64_t counter = 0;
    std::vector<uint8_t> plain;
    std::vector<uint8_t> sealed;
};

std::vector<uint8_t> from_hex(std::string_view hex) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(
            static_cast<uint8_t>(std::stoi(std::string{hex.substr(i, 2)}, nullptr, 16)));
    return bytes;
}

const std::vector<Vector>& vectors() {
    static const std::vector<Vector> all = [] {
        std::vector<Vector> result;
        std::ifstream file{MESHGATE_VECTORS_DIR "/chacha20poly1305.txt"};
        std::string comment;
        for (std::string line; std::getline(file, line);) {
            const std::string value = line.size() > 1 ? line.substr(line.find(' ') + 1) : "";
            if (line.starts_with("# "))
                comment = value;
            if (line.starts_with("KEY: "))
                result.push_back({comment, from_hex(value)});
            if (line.starts_with("COUNTER: "))
                result.back().counter = std::stoull(value);
            if (line.starts_with("PLAIN: "))
                result.back().plain = from_hex(value);
            if (line.starts_with("SEALED: "))
                result.back().sealed = from_hex(value);
        }
        return result;
    }();
    return all;
}

// A packet's bytes at a chosen alignment, with a guard behind them.
class Buffer {
public:
    static constexpr uint8_t kGuard = 0xa5;

    Buffer(const std::vector<uint8_t>& content, size_t room, size_t alignment)
        : bytes_(3 * 64 + content.size() + room, kGuard) {
        const size_t base = reinterpret_cast<uintptr_t>(bytes_.data()) % 64;
        begin_ = (64 - base) % 64 + alignment % 64;
        end_ = begin_ + content.size() + room;
        std::copy(content.begin(), content.end(), data());
    }
    uint8_t* data() { return bytes_.data() + begin_; }
    std::vector<uint8_t> first(size_t len) { return {data(), data() + len}; }
    bool guards_intact() const {
        const auto intact = [](uint8_t byte) { return byte == kGuard; };
        return std::all_of(bytes_.begin(), bytes_.begin() + static_cast<long>(begin_), intact) &&
               std::all_of(bytes_.begin() + static_cast<long>(end_), bytes_.end(), intact);
    }

private:
    std::vector<uint8_t> bytes_;
    size_t begin_ = 0;
    size_t end_ = 0;
};

// Every test below runs once per engine that works on this processor.
class Aead : public testing::TestWithParam<AeadEngineRow> {
protected:
    void SetUp() override {
        auto created = GetParam().factory();
        ASSERT_TRUE(created) << created.error().message;
        engine_ = std::move(*created);
    }

    std::unique_ptr<AeadEngine> engine_;
};

INSTANTIATE_TEST_SUITE_P(Engines, Aead, testing::ValuesIn(engines_of_this_processor()),
                         [](const auto& row) { return test_name_of(row.param); });

TEST(AeadVectors, AreAllRead) {
    ASSERT_EQ(vectors().size(), 259U);
    for (const Vector& vector : vectors()) {
        EXPECT_EQ(vector.key.size(), 32U) << vector.comment;
        EXPECT_EQ(vector.sealed.size(), vector.plain.size() + kAeadTagLen) << vector.comment;
    }
    // RFC 8439, appendix A.5: where the ciphertext begins.
    EXPECT_EQ(std::vector<uint8_t>(vectors()[0].sealed.begin(), vectors()[0].sealed.begin() + 8),
              from_hex("64a0861575861af4"));
}

TEST_P(Aead, SealsEveryVectorInEveryBatchSize) {
    for (size_t batch = 1; batch <= 64; ++batch) {
        for (size_t begin = 0; begin < vectors().size(); begin += batch) {
            const size_t n = std::min(batch, vectors().size() - begin);
            std::vector<Buffer> buffers;
            std::vector<AeadJob> jobs;
            for (size_t i = begin; i < begin + n; ++i) {
                buffers.emplace_back(vectors()[i].plain, kAeadTagLen, i + batch);
                jobs.push_back({.key = vectors()[i].key.data(),
                                .counter = vectors()[i].counter,
                                .data = buffers.back().data(),
                                .len = static_cast<uint32_t>(vectors()[i].plain.size())});
            }
            engine_->seal(jobs);
            for (size_t i = 0; i < n; ++i) {
                const Vector& vector = vectors()[begin + i];
                ASSERT_EQ(buffers[i].first(vector.sealed.size()), vector.sealed)
                    << vector.comment << ", batch " << batch;
                ASSERT_TRUE(buffers[i].guards_intact()) << vector.comment;
                ASSERT_TRUE(jobs[i].ok);
            }
        }
    }
}

TEST_P(Aead, OpensEveryVectorInEveryBatchSize) {
    for (size_t batch = 1; batch <= 64; ++batch) {
        for (size_t begin = 0; begin < vectors().size(); begin += batch) {
            const size_t n = std::min(batch, vectors().size() - begin);
            std::vector<Buffer> buffers;
            std::vector<AeadJob> jobs;
            for (size_t i = begin; i < begin + n; ++i) {
                buffers.emplace_back(vectors()[i].sealed, 0, i + 3 * batch);
                jobs.push_back({.key = vectors()[i].key.data(),
                                .counter = vectors()[i].counter,
                                .data = buffers.back().data(),
                                .len = static_cast<uint32_t>(vectors()[i].sealed.size())});
            }
            engine_->open(jobs);
            for (size_t i = 0; i < n; ++i) {
                const Vector& vector = vectors()[begin + i];
                ASSERT_TRUE(jobs[i].ok) << vector.comment << ", batch " << batch;
                ASSERT_EQ(buffers[i].first(vector.plain.size()), vector.plain) << vector.comment;
                ASSERT_TRUE(buffers[i].guards_intact()) << vector.comment;
            }
        }
    }
}

// All 16 alignments within a vector register's half, and those across a cache line.
TEST_P(Aead, DoesNotCareForAlignment) {
    for (const Vector& vector : vectors()) {
        for (size_t alignment = 0; alignment < 64; ++alignment) {
            Buffer buffer{vector.plain, kAeadTagLen, alignment};
            std::array<AeadJob, 1> jobs{{{.key = vector.key.data(),
                                          .counter = vector.counter,
                                          .data = buffer.data(),
                                          .len = static_cast<uint32_t>(vector.plain.size())}}};
            engine_->seal(jobs);
            ASSERT_EQ(buffer.first(vector.sealed.size()), vector.sealed) << vector.comment;
            jobs[0].len += static_cast<uint32_t>(kAeadTagLen);
            engine_->open(jobs);
            ASSERT_TRUE(jobs[0].ok);
            ASSERT_EQ(buffer.first(vector.plain.size()), vector.plain) << vector.comment;
            ASSERT_TRUE(buffer.guards_intact());
        }
    }
}

// Opens `sealed` and says whether it was believed.
bool opens(AeadEngine& engine, const Vector& vector, std::vector<uint8_t> sealed) {
    std::array<AeadJob, 1> jobs{{{.key = vector.key.data(),
                                  .counter = vector.counter,
                                  .data = sealed.data(),
                                  .len = static_cast<uint32_t>(sealed.size()),
                                  .ok = true}}};
    engine.open(jobs);
    return jobs[0].ok;
}

TEST_P(Aead, RefusesEveryFlippedBitOfTheTag) {
    for (const Vector& vector : vectors()) {
        for (size_t bit = 0; bit < 8 * kAeadTagLen; ++bit) {
            std::vector<uint8_t> sealed = vector.sealed;
            uint8_t& byte = sealed[vector.plain.size() + bit / 8];
            byte = static_cast<uint8_t>(byte ^ (1U << (bit % 8)));
            ASSERT_FALSE(opens(*engine_, vector, sealed)) << vector.comment << ", bit " << bit;
        }
    }
}

TEST_P(Aead, RefusesFlippedBitsOfTheBody) {
    std::mt19937 random{8439};
    for (const Vector& vector : vectors()) {
        for (size_t n = 0; n < 64 && !vector.plain.empty(); ++n) {
            std::vector<uint8_t> sealed = vector.sealed;
            const size_t bit = random() % (8 * vector.plain.size());
            sealed[bit / 8] = static_cast<uint8_t>(sealed[bit / 8] ^ (1U << (bit % 8)));
            ASSERT_FALSE(opens(*engine_, vector, sealed)) << vector.comment << ", bit " << bit;
        }
    }
}

TEST_P(Aead, RefusesEveryTruncationAndExtension) {
    for (const Vector& vector : vectors()) {
        const size_t first = vector.sealed.size() > 160 ? vector.sealed.size() - 160 : 0;
        for (size_t len = first; len < vector.sealed.size(); ++len) {
            std::vector<uint8_t> sealed = vector.sealed;
            sealed.resize(len);
            ASSERT_FALSE(opens(*engine_, vector, sealed)) << vector.comment << ", cut to " << len;
        }
        std::vector<uint8_t> longer = vector.sealed;
        longer.push_back(0);
        ASSERT_FALSE(opens(*engine_, vector, longer)) << vector.comment;
    }
}

TEST_P(Aead, RefusesAnotherCounterAndAnotherKey) {
    for (Vector vector : vectors()) {
        ++vector.counter;
        ASSERT_FALSE(opens(*engine_, vector, vector.sealed)) << vector.comment;
        vector.counter -= 1 + (uint64_t{1} << 32);
        ASSERT_FALSE(opens(*engine_, vector, vector.sealed)) << vector.comment;
        vector.counter += uint64_t{1} << 32;
        vector.key[31] ^= 1;
        ASSERT_FALSE(opens(*engine_, vector, vector.sealed)) << vector.comment;
    }
}

// A batch of several chunks, good and bad packets, too short ones among them: each is judged alone.
TEST_P(Aead, JudgesEachPacketOfABatchAlone) {
    std::mt19937 random{16};
    for (const size_t batch : {1U, 5U, 63U, 64U, 65U, 128U, 129U, 300U}) {
        std::vector<std::vector<uint8_t>> data;
        std::vector<AeadJob> jobs;
        std::vector<bool> good;
        for (size_t i = 0; i < batch; ++i) {
            const Vector& vector = vectors()[random() % vectors().size()];
            data.push_back(vector.sealed);
            const unsigned fate = random() % 4;
            if (fate == 0)
                data.back()[random() % data.back().size()] ^= 0x10;
            if (fate == 1)
                data.back().resize(random() % kAeadTagLen);
            good.push_back(fate >= 2);
            jobs.push_back({.key = vector.key.data(),
                            .counter = vector.counter,
                            .data = nullptr,
                            .len = static_cast<uint32_t>(data.back().size()),
                            .ok = !good.back()});
        }
        for (size_t i = 0; i < batch; ++i)
            jobs[i].data = data[i].data();
        engine_->open(jobs);
        for (size_t i = 0; i < batch; ++i)
            ASSERT_EQ(jobs[i].ok, good[i]) << "packet " << i << " of " << batch;
    }
}

TEST_P(Aead, TakesAnEmptyBatch) {
    engine_->seal({});
    engine_->open({});
}

TEST_P(Aead, PassesItsSelfTest) {
    const Result<void> passed = self_test(*engine_);
    EXPECT_TRUE(passed) << passed.error().message;
}

// All lengths, mixed keys: what one engine seals, each other opens.
TEST_P(Aead, AgreesWithLibsodiumOnEveryLength) {
    auto reference = create_sodium_engine();
    ASSERT_TRUE(reference);
    std::mt19937_64 random{2048};
    constexpr uint32_t kMaxLen = 2048;
    std::vector<std::array<uint8_t, 32>> keys(kMaxLen + 1);
    std::vector<std::vector<uint8_t>> plain, ours, theirs;
    for (uint32_t len = 0; len <= kMaxLen; ++len) {
        std::generate(keys[len].begin(), keys[len].end(),
                      [&] { return static_cast<uint8_t>(random()); });
        plain.emplace_back(len + kAeadTagLen);
        std::generate_n(plain.back().begin(), len, [&] { return static_cast<uint8_t>(random()); });
    }
    ours = theirs = plain;
    std::vector<AeadJob> jobs;
    for (uint32_t len = 0; len <= kMaxLen; ++len)
        jobs.push_back({.key = keys[len].data(),
                        .counter = len * uint64_t{0x9e3779b97f4a7c15},
                        .data = ours[len].data(),
                        .len = len});
    std::vector<AeadJob> their_jobs = jobs;
    for (uint32_t len = 0; len <= kMaxLen; ++len)
        their_jobs[len].data = theirs[len].data();
    engine_->seal(jobs);
    (*reference)->seal(their_jobs);
    ASSERT_EQ(ours, theirs);
    for (AeadJob& job : jobs)
        job.len += static_cast<uint32_t>(kAeadTagLen);
    engine_->open(jobs);
    for (uint32_t len = 0; len <= kMaxLen; ++len) {
        ASSERT_TRUE(jobs[len].ok) << len;
        ASSERT_TRUE(std::equal(plain[len].begin(), plain[len].begin() + len, ours[len].begin()));
    }
}

// Batches of 1 to 64 packets of any lengths at any place in memory, some of them forged, beside
// what libsodium makes of them one by one.
TEST_P(Aead, AgreesWithLibsodiumOnRandomMixes) {
    auto reference = create_sodium_engine();
    ASSERT_TRUE(reference);
    std::mt19937_64 random{64};
    for (int round = 0; round < 640; ++round) {
        const size_t batch = static_cast<size_t>(round) % 64 + 1;
        // By turns small ones, large ones, and all of one length.
        const uint64_t max_len = std::array<uint64_t, 4>{100, 600, 2048, 2048}[random() % 4];
        const uint64_t one_len = random() % (max_len + 1);
        const bool alike = random() % 4 == 0;
        std::vector<std::array<uint8_t, 32>> keys(batch);
        std::vector<Buffer> ours;
        std::vector<std::vector<uint8_t>> plain, sealed;
        std::vector<AeadJob> jobs, their_jobs;
        for (size_t i = 0; i < batch; ++i) {
            std::generate(keys[i].begin(), keys[i].end(),
                          [&] { return static_cast<uint8_t>(random()); });
            plain.emplace_back(alike ? one_len : random() % (max_len + 1));
            std::generate(plain[i].begin(), plain[i].end(),
                          [&] { return static_cast<uint8_t>(random()); });
            sealed.push_back(plain[i]);
            sealed[i].resize(plain[i].size() + kAeadTagLen);
            ours.emplace_back(plain[i], kAeadTagLen, random() % 64);
        }
        for (size_t i = 0; i < batch; ++i) {
            jobs.push_back({.key = keys[i].data(),
                            .counter = random(),
                            .data = ours[i].data(),
                            .len = static_cast<uint32_t>(plain[i].size())});
            their_jobs.push_back(jobs[i]);
            their_jobs[i].data = sealed[i].data();
        }
        engine_->seal(jobs);
        (*reference)->seal(their_jobs);
        std::vector<bool> forged;
        for (size_t i = 0; i < batch; ++i) {
            ASSERT_EQ(ours[i].first(sealed[i].size()), sealed[i]) << round << ", packet " << i;
            ASSERT_TRUE(ours[i].guards_intact()) << round << ", packet " << i;
            jobs[i].len += static_cast<uint32_t>(kAeadTagLen);
            forged.push_back(random() % 4 == 0);
            if (forged[i])
                ours[i].data()[random() % sealed[i].size()] ^=
                    static_cast<uint8_t>(1U << random() % 8);
        }
        engine_->open(jobs);
        for (size_t i = 0; i < batch; ++i) {
            ASSERT_EQ(jobs[i].ok, !forged[i]) << round << ", packet " << i;
            ASSERT_TRUE(ours[i].guards_intact()) << round << ", packet " << i;
            if (!forged[i]) {
                ASSERT_EQ(ours[i].first(plain[i].size()), plain[i]) << round << ", packet " << i;
            }
        }
    }
}

// An engine that fails in one way, to see that the self-test notices.
class Faulty final : public AeadEngine {
public:
    enum class Fault { none, wrong_tag, accepts_all, refuses_all, ignores_last, wrong_plaintext };
    explicit Faulty(Fault fault) : engine_{std::move(*create_sodium_engine())}, fault_{fault} {}

    void seal(std::span<AeadJob> jobs) noexcept override {
        engine_->seal(fault_ == Fault::ignores_last && jobs.size() > 6 ? jobs.first(jobs.size() - 1)
                                                                       : jobs);
        if (fault_ == Fault::wrong_tag)
            jobs[0].data[jobs[0].len] ^= 1;
    }
    void open(std::span<AeadJob> jobs) noexcept override {
        engine_->open(jobs);
        for (AeadJob& job : jobs) {
            if (fault_ == Fault::accepts_all)
                job.ok = true;
            if (fault_ == Fault::refuses_all)
                job.ok = false;
            if (fault_ == Fault::wrong_plaintext && job.len > 200)
                job.data[130] ^= 1;
        }
    }
    const char* name() const noexcept override { return "faulty"; }

private:
    std::unique_ptr<AeadEngine> engine_;
    Fault fault_;
};

TEST(AeadSelfTest, NoticesEveryFault) {
    using Fault = Faulty::Fault;
    Faulty sound{Fault::none};
    EXPECT_TRUE(self_test(sound));
    for (const Fault fault : {Fault::wrong_tag, Fault::accepts_all, Fault::refuses_all,
                              Fault::ignores_last, Fault::wrong_plaintext}) {
        Faulty faulty{fault};
        EXPECT_FALSE(self_test(faulty)) << static_cast<int>(fault);
    }
}

// Counts the batches it is given.
class Counting final : public AeadEngine {
public:
    explicit Counting(int& nb_batches) : nb_batches_{nb_batches} {}
    void seal(std::span<AeadJob>) noexcept override { ++nb_batches_; }
    void open(std::span<AeadJob>) noexcept override { ++nb_batches_; }
    const char* name() const noexcept override { return "counting"; }

private:
    int& nb_batches_;
};

TEST(SplitBatches, GoByNumberAndMeanLength) {
    int main = 0, small = 0;
    AeadMinJobs min_jobs{4, 4, 2, 1, 9};
    const auto engine = split_batches(std::make_unique<Counting>(main),
                                      std::make_unique<Counting>(small), min_jobs);
    struct Case {
        size_t nb_jobs;
        uint32_t len;
        bool to_main;
    };
    for (const Case& c :
         {Case{3, 96, false}, Case{4, 96, true}, Case{1, 384, false}, Case{2, 384, true},
          Case{1, 385, true}, Case{1, 768, true}, Case{8, 769, false}, Case{9, 769, true},
          Case{8, 60'000, false}, Case{64, 0, true}, Case{1, 0, false}}) {
        std::vector<AeadJob> jobs(c.nb_jobs);
        for (AeadJob& job : jobs)
            job.len = c.len;
        main = small = 0;
        engine->seal(jobs);
        EXPECT_EQ(main, c.to_main ? 1 : 0) << c.nb_jobs << " of " << c.len;
        for (AeadJob& job : jobs)
            job.len += static_cast<uint32_t>(kAeadTagLen);
        engine->open(jobs);
        EXPECT_EQ(main, c.to_main ? 2 : 0) << c.nb_jobs << " of " << c.len;
        EXPECT_EQ(main + small, 2);
    }
    std::vector<AeadJob> mixed(3);
    mixed[0].len = 1000;  // the mean counts
    main = small = 0;
    engine->seal(mixed);
    EXPECT_EQ(main, 1);
}

TEST(AeadSelection, TakesTheForcedEngine) {
    const auto ours = select_aead(AeadChoice::cross_packet);
    ASSERT_TRUE(ours) << ours.error().message;
    EXPECT_TRUE(ours->name.starts_with("cross-packet/")) << ours->name;
    EXPECT_EQ(ours->small_batches, nullptr);

    const auto sodium = select_aead(AeadChoice::libsodium);
    ASSERT_TRUE(sodium);
    EXPECT_EQ(sodium->name, "libsodium");
    EXPECT_TRUE(sodium->reason.starts_with("forced")) << sodium->reason;
    const auto engine = sodium->create();
    ASSERT_TRUE(engine);
    EXPECT_STREQ((*engine)->name(), "libsodium");

    const auto ipsec_mb = select_aead(AeadChoice::ipsec_mb);
    ASSERT_TRUE(ipsec_mb) << ipsec_mb.error().message;
    EXPECT_TRUE(ipsec_mb->name.starts_with("ipsec-mb/")) << ipsec_mb->name;
}

TEST(AeadSelection, SaysWhyItTookWhat) {
    const auto chosen = select_aead(AeadChoice::automatic);
    ASSERT_TRUE(chosen) << chosen.error().message;
    EXPECT_NE(chosen->reason.find("fastest"), std::string::npos) << chosen->reason;
    EXPECT_NE(chosen->reason.find("takes"), std::string::npos) << chosen->reason;
    EXPECT_TRUE(chosen->create());
}

}  // namespace
}  // namespace meshgate
