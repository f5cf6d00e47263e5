// SPDX-License-Identifier: Apache-2.0
// What every engine must pass before it touches a packet, at each start of the daemon.
#include <sodium.h>

#include <array>
#include <cstring>
#include <vector>

#include "dataplane/crypto/aead.h"

namespace meshgate {

namespace {

struct KnownAnswer {
    uint32_t len;
    const char* tag_hex;  // computed over the ciphertext, so it vouches for that as well
};

// Key byte i is (len + 3 i), plaintext byte i is (7 i + len), the counter len * kCounterStep, all
// modulo their width. Tags from OpenSSL 3.0 (ChaCha20Poly1305 of python3-cryptography 38).
constexpr KnownAnswer kKnownAnswers[] = {
    {0, "e944a17d98bfa24ee654aa9c25eacd04"},    {1, "eadf2b8396d6b42092e41af5496e1663"},
    {15, "b3413058ab864d488caaeaeb3b0c6c99"},   {16, "4acf76943ed1c95ab0b4970097cbc9df"},
    {17, "408b4b86abf7060c0337107f3e9efd72"},   {63, "17bd649234b319f06aeaf027e9c20a5a"},
    {64, "83ac706ece3249239746159e1807dc59"},   {65, "b0f523739ab2cb6795db7f32b13a8c54"},
    {80, "e2331eed684e62bf932d20961d8f7689"},   {127, "7d78fc479c1501bcef2fb3c6d9453bed"},
    {128, "170859b32b036efdadb4f13b51c9bed6"},  {255, "720e9462ee669140027b73374aaa2018"},
    {256, "0269ead98bb38d036cd77a9806fe0b79"},  {257, "fb4ec01561a39999177a9777fd31192a"},
    {511, "db94222743983e89fa2f2ac622fe5183"},  {512, "59861a411f36cacef1384b4d7e808433"},
    {513, "3eee190f6f68c238861d4534cea92c70"},  {576, "9b7dcd680a5830774d41f8564be29e21"},
    {1023, "55877a52d8f6fa2258bf9284525a12a0"}, {1024, "e99d002d65ea03656b37d13041480229"},
    {1025, "d9a065280b79a89ed130e648b5e0ae16"}, {1280, "7b1e48c12a97110ec77ad59394f78aab"},
    {1420, "f337c7ba4d020d721efbe63790c137ae"}, {1500, "34d1a04e32cc0b54d383624ea73cabf9"},
    {2048, "ca846ff74d4cc9a3213e60234b9f988f"},
};
constexpr size_t kNbCases = std::size(kKnownAnswers);
constexpr uint64_t kCounterStep = 0x0123'4567'89ab'cdef;

// Splits the cases over batches in several ways: alone, in odd groups, all at once.
constexpr std::array<size_t, 5> kBatchSizes{1, 2, 7, 16, kNbCases};

struct Case {
    std::array<uint8_t, 32> key;
    std::vector<uint8_t> plain;
    std::vector<uint8_t> work;  // room for the tag
    std::array<uint8_t, kAeadTagLen> tag;
    AeadJob job;
};

std::vector<Case> make_cases() {
    std::vector<Case> cases(kNbCases);
    for (size_t n = 0; n < kNbCases; ++n) {
        Case& one = cases[n];
        const uint32_t len = kKnownAnswers[n].len;
        for (size_t i = 0; i < one.key.size(); ++i)
            one.key[i] = static_cast<uint8_t>(len + 3 * i);
        one.plain.resize(len);
        for (size_t i = 0; i < len; ++i)
            one.plain[i] = static_cast<uint8_t>(7 * i + len);
        one.work = one.plain;
        one.work.resize(len + kAeadTagLen);
        sodium_hex2bin(one.tag.data(), one.tag.size(), kKnownAnswers[n].tag_hex, 2 * kAeadTagLen,
                       nullptr, nullptr, nullptr);
        one.job = {.key = one.key.data(),
                   .counter = len * kCounterStep,
                   .data = one.work.data(),
                   .len = len};
    }
    return cases;
}

std::string at(const Case& one, size_t batch) {
    return " (" + std::to_string(one.plain.size()) + " bytes, batches of " + std::to_string(batch) +
           ")";
}

// Applies `seal_or_open` to all cases, `batch` jobs at a time.
void run(std::vector<Case>& cases, AeadEngine& engine, size_t batch,
         void (AeadEngine::*seal_or_open)(std::span<AeadJob>) noexcept) {
    for (size_t begin = 0; begin < cases.size(); begin += batch) {
        const size_t end = std::min(begin + batch, cases.size());
        std::vector<AeadJob> jobs;
        for (size_t i = begin; i < end; ++i)
            jobs.push_back(cases[i].job);
        (engine.*seal_or_open)(jobs);
        for (size_t i = begin; i < end; ++i)
            cases[i].job.ok = jobs[i - begin].ok;
    }
}

Result<void> test_seal(AeadEngine& engine, std::vector<Case>& cases, size_t batch) {
    run(cases, engine, batch, &AeadEngine::seal);
    for (Case& one : cases) {
        // Known answers, of keys that stand in the source.
        if (std::memcmp(one.work.data() + one.plain.size(), one.tag.data(), kAeadTagLen) != 0)
            return fail("wrong tag" + at(one, batch));
        one.job.len += static_cast<uint32_t>(kAeadTagLen);
    }
    return {};
}

Result<void> test_open(AeadEngine& engine, std::vector<Case>& cases, size_t batch) {
    run(cases, engine, batch, &AeadEngine::open);
    for (const Case& one : cases) {
        if (!one.job.ok)
            return fail("a good packet was refused" + at(one, batch));
        if (!one.plain.empty() &&
            std::memcmp(one.work.data(), one.plain.data(), one.plain.size()) != 0)
            return fail("the plaintext did not come back" + at(one, batch));
    }
    return {};
}

// Every second packet of the batch has one bit flipped, by turns in the tag and in the body; the
// others must still open.
Result<void> test_tampered(AeadEngine& engine, std::vector<Case>& cases, size_t batch) {
    for (size_t n = 0; n < cases.size(); n += 2) {
        std::vector<uint8_t>& work = cases[n].work;
        const size_t position = n % 4 == 0 ? work.size() - 1 - n % kAeadTagLen : n % work.size();
        work[position] = static_cast<uint8_t>(work[position] ^ (1U << (n % 8)));
    }
    run(cases, engine, batch, &AeadEngine::open);
    for (size_t n = 0; n < cases.size(); ++n) {
        if (cases[n].job.ok != (n % 2 == 1))
            return fail((n % 2 == 1 ? "a good packet beside tampered ones was refused"
                                    : "a tampered packet was accepted") +
                        at(cases[n], batch));
    }
    return {};
}

Result<void> test_short(AeadEngine& engine) {
    const std::array<uint8_t, 32> key{};
    std::array<uint8_t, kAeadTagLen> data{};
    for (uint32_t len = 0; len < kAeadTagLen; ++len) {
        std::array<AeadJob, 1> jobs{
            {{.key = key.data(), .counter = 0, .data = data.data(), .len = len, .ok = true}}};
        engine.open(jobs);
        if (jobs[0].ok)
            return fail("a packet shorter than a tag was accepted");
    }
    return {};
}

}  // namespace

Result<void> self_test(AeadEngine& engine) {
    for (const size_t batch : kBatchSizes) {
        std::vector<Case> cases = make_cases();
        if (auto passed = test_seal(engine, cases, batch); !passed)
            return passed;
        const std::vector<Case> sealed = cases;
        if (auto passed = test_open(engine, cases, batch); !passed)
            return passed;
        // The jobs still point into `cases`.
        for (size_t n = 0; n < cases.size(); ++n)
            std::memcpy(cases[n].work.data(), sealed[n].work.data(), sealed[n].work.size());
        if (auto passed = test_tampered(engine, cases, batch); !passed)
            return passed;
    }
    return test_short(engine);
}

}  // namespace meshgate
