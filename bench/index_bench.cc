// SPDX-License-Identifier: Apache-2.0
// The receiver-index table beside DPDK's hash table, in bursts of 32 as the index stage looks up.
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <unordered_set>
#include <vector>

#include "base/assert.h"
#include "bench/eal.h"
#include "bench/figures.h"
#include "dataplane/tables/index_table.h"

namespace meshgate::bench {
namespace {

constexpr size_t kBurst = 32;
constexpr size_t kNbLookups = size_t{1} << 20;
// What a box makes room for as it comes: max_peers, four keypairs each.
constexpr size_t kCapacity = 65'536;
constexpr std::array<size_t, 3> kSizes{10, 10'000, 100'000};

enum class Outcome : uint8_t { hit, miss };

// Random indices, as receivers choose them; what is looked up is random among them, too.
class Indices {
public:
    explicit Indices(size_t nb_entries) {
        std::unordered_set<uint32_t> unique;
        while (unique.size() < 2 * nb_entries)
            unique.insert(static_cast<uint32_t>(random_()));
        all_.assign(unique.begin(), unique.end());
    }

    std::span<const uint32_t> entries() const { return std::span{all_}.first(all_.size() / 2); }
    std::vector<uint32_t> lookups(Outcome outcome) {
        const auto half =
            outcome == Outcome::hit ? entries() : std::span{all_}.last(all_.size() / 2);
        std::vector<uint32_t> result;
        for (size_t i = 0; i < kNbLookups; ++i)
            result.push_back(half[random_() % half.size()]);
        return result;
    }

private:
    std::mt19937_64 random_{1};
    std::vector<uint32_t> all_;
};

// The entries' target; only its address matters.
Keypair& some_keypair() {
    static Keypair keypair;
    return keypair;
}

struct FreeHash {
    void operator()(rte_hash* hash) const noexcept { rte_hash_free(hash); }
};

using RteHash = std::unique_ptr<rte_hash, FreeHash>;

// As lock-free for its readers as ours.
RteHash make_rte_hash(std::span<const uint32_t> entries) {
    rte_hash_parameters parameters{};
    const std::string name = "bench" + std::to_string(entries.size());
    parameters.name = name.c_str();
    parameters.entries = static_cast<uint32_t>(std::max(kCapacity, 2 * entries.size()));
    parameters.key_len = sizeof(uint32_t);
    parameters.hash_func = rte_hash_crc;
    parameters.socket_id = SOCKET_ID_ANY;
    parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF;
    RteHash hash{rte_hash_create(&parameters)};
    for (const uint32_t index : entries) {
        if (hash == nullptr || rte_hash_add_key_data(hash.get(), &index, &some_keypair()) != 0)
            return nullptr;
    }
    return hash;
}

// All that the runs of one size share.
class Tables {
public:
    explicit Tables(size_t nb_entries)
        : indices_{nb_entries},
          table_{IndexTable::create(std::max(kCapacity, 2 * nb_entries)).value()},
          hits_{indices_.lookups(Outcome::hit)},
          misses_{indices_.lookups(Outcome::miss)} {
        for (const uint32_t index : indices_.entries())
            MG_ASSERT(table_.insert(index, IndexEntry{&some_keypair()}));
    }

    IndexTable& table() { return table_; }
    const rte_hash* hash() {
        if (hash_ == nullptr)
            hash_ = eal() ? make_rte_hash(indices_.entries()) : nullptr;
        return hash_.get();
    }
    const std::vector<uint32_t>& lookups(Outcome outcome) const {
        return outcome == Outcome::hit ? hits_ : misses_;
    }

private:
    Indices indices_;
    IndexTable table_;
    RteHash hash_;
    std::vector<uint32_t> hits_, misses_;
};

// Calls `lookup(first)` burst after burst; it returns how many were found.
template <typename Lookup>
void measure(benchmark::State& state, Outcome outcome, Lookup lookup) {
    size_t next = 0;
    size_t nb_found = 0;
    for (auto _ : state) {
        nb_found += lookup(next);
        next = (next + kBurst) % kNbLookups;
    }
    const auto nb_lookups = state.iterations() * static_cast<int64_t>(kBurst);
    if (nb_found != (outcome == Outcome::hit ? static_cast<size_t>(nb_lookups) : 0))
        return state.SkipWithError("wrong answers");
    state.SetItemsProcessed(nb_lookups);
}

void find(benchmark::State& state, Tables& tables, Outcome outcome) {
    const auto& lookups = tables.lookups(outcome);
    std::array<IndexEntry, kBurst> entries;
    measure(state, outcome, [&](size_t first) {
        tables.table().find(entries, std::span{lookups}.subspan(first, kBurst));
        return static_cast<size_t>(std::count_if(entries.begin(), entries.end(),
                                                 [](IndexEntry entry) { return bool{entry}; }));
    });
}

// A session ends, a grace period later its index is free, another begins.
void churn(benchmark::State& state, Tables& tables) {
    IndexTable& table = tables.table();
    const auto& old_indices = tables.lookups(Outcome::hit);
    size_t next = 0;
    bool good = true;
    for (auto _ : state) {
        const uint32_t index = old_indices[next];
        good &= bool{table.erase(index)};
        table.recycle(index);
        good &= table.insert(index, IndexEntry{&some_keypair()});
        next = (next + 1) % kNbLookups;
    }
    if (!good)
        return state.SkipWithError("wrong answers");
    state.SetItemsProcessed(state.iterations());
}

void find_rte_hash(benchmark::State& state, Tables& tables, Outcome outcome) {
    const rte_hash* hash = tables.hash();
    if (hash == nullptr)
        return state.SkipWithError("no rte_hash");
    std::vector<const void*> keys;
    for (const uint32_t& index : tables.lookups(outcome))
        keys.push_back(&index);
    std::array<void*, kBurst> data;
    measure(state, outcome, [&](size_t first) {
        uint64_t found = 0;
        const int nb_found =
            rte_hash_lookup_bulk_data(hash, &keys[first], kBurst, &found, data.data());
        benchmark::DoNotOptimize(data);
        return static_cast<size_t>(nb_found);
    });
}

Group group() {
    const Quantity ns = ns_per("look-up");
    Group group;
    for (const size_t size : kSizes) {
        const Lazy<Tables> tables{[size] { return std::make_unique<Tables>(size); }};
        for (const Outcome outcome : {Outcome::hit, Outcome::miss}) {
            const std::string suffix = outcome == Outcome::hit ? "" : "/miss";
            const std::string name = "index/" + std::to_string(size) + suffix;
            const std::string ten = "index/10" + suffix;
            const std::string rte = name + "/rte_hash";
            Run run{.figures = {{name, ns, name == ten ? rte : ten}},
                    .body = [=](benchmark::State& state) { find(state, *tables.get(), outcome); }};
            if (name != ten)
                run.figures.push_back({name + "/beside-rte_hash", ns, rte});
            group.push_back(std::move(run));
            group.push_back({.figures = {{rte, ns, ""}}, .body = [=](benchmark::State& state) {
                                 find_rte_hash(state, *tables.get(), outcome);
                             }});
        }
        const std::string name = "index/" + std::to_string(size) + "/churn";
        group.push_back({.figures = {{name, ns_per("session"), "index/" + std::to_string(size)}},
                         .body = [=](benchmark::State& state) { churn(state, *tables.get()); }});
    }
    return group;
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, {meshgate::bench::group()});
}
