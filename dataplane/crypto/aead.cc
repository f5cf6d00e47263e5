// SPDX-License-Identifier: Apache-2.0
#include "dataplane/crypto/aead.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

namespace meshgate {

namespace {

constexpr std::array<AeadEngineRow, 4> kEngines{{
    {AeadChoice::cross_packet, "cross-packet-avx512", create_cross_packet_avx512_engine},
    {AeadChoice::cross_packet, "cross-packet-avx2", create_cross_packet_avx2_engine},
    {AeadChoice::ipsec_mb, "ipsec-mb", create_ipsec_mb_engine},
    {AeadChoice::libsodium, "libsodium", create_sodium_engine},
}};

using Engine = std::unique_ptr<AeadEngine>;

// Long enough to be past the first misses, short enough for nobody to notice at start.
constexpr int kTimingRounds = 8;
constexpr size_t kTimingBatch = 32;  // packets in each round
constexpr std::array<uint32_t, 4> kTimingLens{64, 128, 576, 1420};

// Packets of several lengths by turns, under a key each.
class TimingBatch {
public:
    TimingBatch(size_t nb_jobs, std::span<const uint32_t> lens)
        : keys_(nb_jobs), packets_(nb_jobs) {
        for (size_t i = 0; i < nb_jobs; ++i)
            jobs_.push_back({.key = keys_[i].data(),
                             .counter = i,
                             .data = packets_[i].data(),
                             .len = lens[i % lens.size()]});
    }

    // Nanoseconds per packet to seal it and to open what came out, the best of some rounds.
    double time_of(AeadEngine& engine) {
        using Clock = std::chrono::steady_clock;
        Clock::duration best = Clock::duration::max();
        for (int round = 0; round < kTimingRounds; ++round) {
            const Clock::time_point begin = Clock::now();
            engine.seal(jobs_);
            for (AeadJob& job : jobs_)
                job.len += static_cast<uint32_t>(kAeadTagLen);
            engine.open(jobs_);
            best = std::min(best, Clock::now() - begin);
            for (AeadJob& job : jobs_)
                job.len -= static_cast<uint32_t>(kAeadTagLen);
        }
        const std::chrono::duration<double, std::nano> ns{best};
        return ns.count() / static_cast<double>(jobs_.size());
    }

private:
    std::vector<std::array<uint8_t, 32>> keys_;
    std::vector<std::array<uint8_t, 2048>> packets_;
    std::vector<AeadJob> jobs_;
};

struct Candidate {
    const AeadEngineRow* row;
    Engine engine;
    double ns_per_packet = 0;  // of mixed batches, sealed and opened
};

Result<Candidate> examine(const AeadEngineRow& row) {
    auto engine = row.factory();
    if (!engine)
        return within(row.name, engine.error());
    if (auto passed = self_test(**engine); !passed)
        return within(std::string{(*engine)->name()} + ": self-test failed", passed.error());
    const double ns = TimingBatch{kTimingBatch, kTimingLens}.time_of(**engine);
    return Candidate{&row, std::move(*engine), ns};
}

std::string in_ns(double ns) {
    return std::to_string(static_cast<long>(ns)) + " ns per packet sealed and opened";
}

AeadSelection selection_of(const Candidate& candidate, std::string_view why) {
    return {.name = candidate.engine->name(),
            .reason = std::string{why} + ", " + in_ns(candidate.ns_per_packet),
            .factory = candidate.row->factory};
}

// ---- small batches ----

constexpr std::array<uint8_t, 8> kSmallBatches{1, 2, 3, 4, 6, 8, 12, 16};

// From how many jobs of `len` bytes on `main` is never slower than `other`; at most one more than
// the largest batch tried.
uint8_t min_jobs(AeadEngine& main, AeadEngine& other, uint32_t len) {
    uint8_t from = 1;
    for (const uint8_t nb_jobs : kSmallBatches) {
        TimingBatch batch{nb_jobs, {&len, 1}};
        if (batch.time_of(main) > batch.time_of(other))
            from = static_cast<uint8_t>(nb_jobs + 1);
    }
    return from;
}

// Gives `other` the batches that it does faster than the selected engine.
void share_small_batches(AeadSelection& selection, AeadEngine& main, const Candidate& other) {
    std::string classes;
    for (size_t i = 0; i < kAeadSizes.size(); ++i) {
        // The middle of what the class holds.
        const uint32_t len = kAeadSizes[i] * 3 / 4;
        selection.min_jobs[i] = min_jobs(main, *other.engine, len);
        if (selection.min_jobs[i] > 1)
            classes += (classes.empty() ? "" : ", ") + std::to_string(selection.min_jobs[i]) +
                       " up to " + std::to_string(kAeadSizes[i]) + " B";
    }
    if (classes.empty())
        return;
    selection.small_batches = other.row->factory;
    selection.reason +=
        "; batches of fewer packets than " + classes + " go to " + other.engine->name();
}

// ---- selection ----

Result<AeadSelection> select_forced(AeadChoice choice) {
    Error error{"this AEAD engine is not built in"};
    for (const AeadEngineRow& row : kEngines) {
        if (row.choice != choice)
            continue;
        auto candidate = examine(row);
        if (candidate)
            return selection_of(*candidate, "forced by configuration");
        error = candidate.error();
    }
    return tl::unexpected<Error>{std::move(error)};
}

}  // namespace

std::span<const AeadEngineRow> aead_engines() noexcept {
    return kEngines;
}

Result<Engine> AeadSelection::create() const {
    auto main = factory();
    if (!main || small_batches == nullptr)
        return main;
    auto small = small_batches();
    if (!small)
        return small;
    return split_batches(std::move(*main), std::move(*small), min_jobs);
}

Result<AeadSelection> select_aead(AeadChoice choice) {
    if (choice != AeadChoice::automatic)
        return select_forced(choice);
    std::vector<Candidate> candidates;
    std::string failures;
    for (const AeadEngineRow& row : kEngines) {
        auto candidate = examine(row);
        if (candidate)
            candidates.push_back(std::move(*candidate));
        else
            failures += (failures.empty() ? "" : "; ") + candidate.error().message;
    }
    if (candidates.empty())
        return fail("no AEAD engine works: " + failures);
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
        return a.ns_per_packet < b.ns_per_packet;
    });
    AeadSelection best = selection_of(candidates.front(), "fastest here");
    for (size_t i = 1; i < candidates.size(); ++i)
        best.reason += std::string{"; "} + candidates[i].engine->name() + " takes " +
                       std::to_string(static_cast<long>(candidates[i].ns_per_packet)) + " ns";
    if (candidates.size() > 1) {
        uint32_t one_len = kTimingLens[0];
        const auto fastest_alone = std::min_element(
            candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
                TimingBatch one{1, {&one_len, 1}};
                return one.time_of(*a.engine) < one.time_of(*b.engine);
            });
        if (fastest_alone != candidates.begin())
            share_small_batches(best, *candidates.front().engine, *fastest_alone);
    }
    if (!failures.empty())
        best.reason += "; refused: " + failures;
    return best;
}

}  // namespace meshgate
