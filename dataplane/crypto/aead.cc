// SPDX-License-Identifier: Apache-2.0
#include "dataplane/crypto/aead.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

namespace meshgate {

namespace {

constexpr std::array<AeadEngineRow, 2> kEngines{{
    {AeadChoice::ipsec_mb, "ipsec-mb", create_ipsec_mb_engine},
    {AeadChoice::libsodium, "libsodium", create_sodium_engine},
}};

// Long enough to be past the first misses, short enough for nobody to notice at start.
constexpr int kTimingRounds = 8;
constexpr int kBatchesPerRound = 16;
constexpr size_t kTimingBatch = 32;
constexpr std::array<uint32_t, 4> kTimingLens{64, 128, 576, 1420};

// Nanoseconds per packet of a mixed batch, the best of some rounds.
double time_of(AeadEngine& engine) {
    const std::array<uint8_t, 32> key{};
    std::vector<std::array<uint8_t, 1536>> packets(kTimingBatch);
    std::vector<AeadJob> jobs;
    for (size_t i = 0; i < packets.size(); ++i)
        jobs.push_back({.key = key.data(),
                        .counter = i,
                        .data = packets[i].data(),
                        .len = kTimingLens[i % kTimingLens.size()]});
    using Clock = std::chrono::steady_clock;
    Clock::duration best = Clock::duration::max();
    for (int round = 0; round < kTimingRounds; ++round) {
        const Clock::time_point begin = Clock::now();
        for (int batch = 0; batch < kBatchesPerRound; ++batch)
            engine.seal(jobs);
        best = std::min(best, Clock::now() - begin);
    }
    const std::chrono::duration<double, std::nano> ns{best};
    return ns.count() / (kBatchesPerRound * static_cast<double>(kTimingBatch));
}

struct Candidate {
    AeadSelection selection;
    double ns_per_packet = 0;
};

Result<Candidate> examine(const AeadEngineRow& row) {
    auto engine = row.factory();
    if (!engine)
        return within(row.family, engine.error());
    if (auto passed = self_test(**engine); !passed)
        return within(std::string{(*engine)->name()} + ": self-test failed", passed.error());
    return Candidate{{(*engine)->name(), "", row.factory}, time_of(**engine)};
}

std::string in_ns(double ns) {
    return std::to_string(static_cast<long>(ns)) + " ns per packet";
}

Result<AeadSelection> select_forced(AeadChoice choice) {
    const auto* row = std::find_if(kEngines.begin(), kEngines.end(),
                                   [&](const AeadEngineRow& r) { return r.choice == choice; });
    if (row == kEngines.end())
        return fail("this AEAD engine is not built in");
    auto candidate = examine(*row);
    if (!candidate)
        return tl::unexpected<Error>{candidate.error()};
    candidate->selection.reason = "forced by configuration, " + in_ns(candidate->ns_per_packet);
    return std::move(candidate->selection);
}

}  // namespace

std::span<const AeadEngineRow> aead_engines() noexcept {
    return kEngines;
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
    AeadSelection best = std::move(candidates.front().selection);
    best.reason = "fastest here, " + in_ns(candidates.front().ns_per_packet);
    for (size_t i = 1; i < candidates.size(); ++i)
        best.reason +=
            "; " + candidates[i].selection.name + " takes " + in_ns(candidates[i].ns_per_packet);
    if (!failures.empty())
        best.reason += "; refused: " + failures;
    return best;
}

}  // namespace meshgate
