// SPDX-License-Identifier: Apache-2.0
// Route look-up: ours beside DPDK's rte_fib, 10 to 1 M prefixes, bursts of 32 destinations.
#include <benchmark/benchmark.h>
#include <rte_eal.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_memory.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "dataplane/api/fib.h"

namespace meshgate {
namespace {

constexpr size_t kBurst = 32;
// More than any cache of one core holds, so that a look-up meets the table as traffic would.
constexpr size_t kNbDestinations = size_t{1} << 20;

// Lengths about as in the internet's table: three in five are /24.
uint8_t internet_len_v4(std::mt19937_64& random) {
    const auto percent = static_cast<unsigned>(random() % 100);
    if (percent < 60)
        return 24;
    if (percent < 97)
        return static_cast<uint8_t>(16 + random() % 8);
    return static_cast<uint8_t>(percent < 99 ? 12 + random() % 4 : 32);
}

uint8_t internet_len_v6(std::mt19937_64& random) {
    const auto percent = static_cast<unsigned>(random() % 100);
    if (percent < 50)
        return 48;
    return static_cast<uint8_t>(percent < 90 ? 32 + random() % 16 : 64);
}

// Routes of one family, without two equal prefixes. IPv6: within 2000::/8 if many, else the node
// addresses and site prefixes of one mesh.
std::vector<Fib::Route> make_routes(Family family, size_t nb_routes) {
    std::mt19937_64 random{nb_routes};
    std::map<Prefix, uint32_t> unique;
    while (unique.size() < nb_routes) {
        Prefix prefix;
        prefix.address.family = family;
        const std::array<uint64_t, 2> bits{random(), random()};
        std::memcpy(prefix.address.bytes.data(), bits.data(), family == Family::ipv4 ? 4 : 16);
        if (family == Family::ipv4) {
            prefix.len = internet_len_v4(random);
            // 1.0.0.0 to 223.255.255.255
            prefix.address.bytes[0] = static_cast<uint8_t>(1 + bits[0] % 223);
        } else if (nb_routes >= 100'000) {
            prefix.len = internet_len_v6(random);
            prefix.address.bytes[0] = 0x20;
        } else {
            prefix.len = unique.size() % 2 == 0 ? 128 : 64;
            std::memcpy(prefix.address.bytes.data(), "\xfd\x12\x34\x56\x78\x9a", 6);
        }
        unique[prefix.network()] = static_cast<uint32_t>(1 + unique.size() % 30'000);
    }
    std::vector<Fib::Route> routes;
    for (const auto& [prefix, value] : unique)
        routes.push_back({prefix, value});
    std::shuffle(routes.begin(), routes.end(), random);
    return routes;
}

const std::vector<Fib::Route>& routes_of(Family family, size_t nb_routes) {
    static std::map<std::pair<Family, size_t>, std::vector<Fib::Route>> cache;
    auto& routes = cache[{family, nb_routes}];
    if (routes.empty())
        routes = make_routes(family, nb_routes);
    return routes;
}

// A random host behind a random route each.
std::vector<IpAddress> make_destinations(const std::vector<Fib::Route>& routes) {
    std::mt19937_64 random{7};
    std::vector<IpAddress> destinations;
    for (size_t i = 0; i < kNbDestinations; ++i) {
        const Prefix prefix = routes[random() % routes.size()].prefix.network();
        const std::array<uint64_t, 2> bits{random(), random()};
        std::array<uint8_t, 16> host;
        std::memcpy(host.data(), bits.data(), host.size());
        IpAddress address = prefix.address;
        for (unsigned byte = prefix.len / 8; byte < address.bits() / 8U; ++byte) {
            const unsigned nb_kept = byte == prefix.len / 8 ? prefix.len % 8 : 0;
            address.bytes[byte] =
                static_cast<uint8_t>(address.bytes[byte] | (host[byte] & (0xffU >> nb_kept)));
        }
        destinations.push_back(address);
    }
    return destinations;
}

// Made once: the library calls a benchmark several times.
const std::vector<IpAddress>& destinations_of(Family family, size_t nb_routes) {
    static std::map<std::pair<Family, size_t>, std::vector<IpAddress>> cache;
    auto& destinations = cache[{family, nb_routes}];
    if (destinations.empty())
        destinations = make_destinations(routes_of(family, nb_routes));
    return destinations;
}

void report(benchmark::State& state) {
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBurst));
}

void count_memory(benchmark::State& state, const Fib& fib) {
    state.counters["bytes"] = static_cast<double>(fib.memory_bytes());
}

void build(benchmark::State& state, Family family) {
    const auto& routes = routes_of(family, static_cast<size_t>(state.range(0)));
    for (auto _ : state) {
        const auto fib = Fib::build(routes);
        benchmark::DoNotOptimize(fib.get());
    }
}

void lookup_v4(benchmark::State& state) {
    const auto& routes = routes_of(Family::ipv4, static_cast<size_t>(state.range(0)));
    const auto fib = Fib::build(routes);
    std::vector<uint32_t> destinations;
    for (const IpAddress& address :
         destinations_of(Family::ipv4, static_cast<size_t>(state.range(0))))
        destinations.push_back(address.v4_be());
    std::array<uint32_t, kBurst> values;
    size_t next = 0;
    for (auto _ : state) {
        fib->lookup_v4(values, std::span{destinations}.subspan(next, kBurst));
        benchmark::DoNotOptimize(values);
        next = (next + kBurst) % kNbDestinations;
    }
    report(state);
    count_memory(state, *fib);
}

void lookup_v6(benchmark::State& state) {
    const auto& routes = routes_of(Family::ipv6, static_cast<size_t>(state.range(0)));
    const auto fib = Fib::build(routes);
    const auto& destinations = destinations_of(Family::ipv6, static_cast<size_t>(state.range(0)));
    std::vector<const uint8_t*> pointers;
    for (const IpAddress& address : destinations)
        pointers.push_back(address.bytes.data());
    std::array<uint32_t, kBurst> values;
    size_t next = 0;
    for (auto _ : state) {
        fib->lookup_v6(values, std::span{pointers}.subspan(next, kBurst));
        benchmark::DoNotOptimize(values);
        next = (next + kBurst) % kNbDestinations;
    }
    report(state);
    count_memory(state, *fib);
}

rte_fib* make_rte_fib(const std::vector<Fib::Route>& routes) {
    rte_fib_conf conf{};
    conf.type = RTE_FIB_DIR24_8;
    conf.max_routes = static_cast<int>(routes.size()) + 1;
    conf.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
    conf.dir24_8.num_tbl8 = 32'768;
    rte_fib* fib = rte_fib_create("bench", SOCKET_ID_ANY, &conf);
    for (const Fib::Route& route : routes) {
        const Prefix& prefix = route.prefix;
        const uint32_t address = __builtin_bswap32(prefix.address.v4_be());
        if (fib == nullptr || rte_fib_add(fib, address, prefix.len, route.value) != 0)
            return nullptr;
    }
    return fib;
}

void rte_lookup_v4(benchmark::State& state) {
    const auto& routes = routes_of(Family::ipv4, static_cast<size_t>(state.range(0)));
    const auto begin = std::chrono::steady_clock::now();
    rte_fib* fib = make_rte_fib(routes);
    if (fib == nullptr)
        return state.SkipWithError("rte_fib cannot hold them");
    const std::chrono::duration<double> build_s = std::chrono::steady_clock::now() - begin;
    std::vector<uint32_t> destinations;
    for (const IpAddress& address :
         destinations_of(Family::ipv4, static_cast<size_t>(state.range(0))))
        destinations.push_back(__builtin_bswap32(address.v4_be()));
    std::array<uint64_t, kBurst> values;
    size_t next = 0;
    for (auto _ : state) {
        rte_fib_lookup_bulk(fib, &destinations[next], values.data(), kBurst);
        benchmark::DoNotOptimize(values);
        next = (next + kBurst) % kNbDestinations;
    }
    report(state);
    state.counters["build_s"] = build_s.count();
    rte_fib_free(fib);
}

void rte_lookup_v6(benchmark::State& state) {
    const auto& routes = routes_of(Family::ipv6, static_cast<size_t>(state.range(0)));
    const auto begin = std::chrono::steady_clock::now();
    rte_fib6_conf conf{};
    conf.type = RTE_FIB6_TRIE;
    conf.max_routes = static_cast<int>(routes.size()) + 1;
    conf.trie.nh_sz = RTE_FIB6_TRIE_4B;
    conf.trie.num_tbl8 = 524'288;
    rte_fib6* fib = rte_fib6_create("bench6", SOCKET_ID_ANY, &conf);
    if (fib == nullptr)
        return state.SkipWithError("rte_fib6 cannot be made");
    for (const Fib::Route& route : routes) {
        if (rte_fib6_add(fib, route.prefix.address.bytes.data(), route.prefix.len, route.value) !=
            0) {
            rte_fib6_free(fib);
            return state.SkipWithError("rte_fib6 cannot hold them");
        }
    }
    const std::chrono::duration<double> build_s = std::chrono::steady_clock::now() - begin;
    std::vector<std::array<uint8_t, 16>> destinations;
    for (const IpAddress& address :
         destinations_of(Family::ipv6, static_cast<size_t>(state.range(0))))
        destinations.push_back(address.bytes);
    std::array<uint64_t, kBurst> values;
    size_t next = 0;
    for (auto _ : state) {
        // An array of arrays, as the function wants it.
        auto* burst = reinterpret_cast<uint8_t(*)[16]>(destinations[next].data());
        rte_fib6_lookup_bulk(fib, burst, values.data(), kBurst);
        benchmark::DoNotOptimize(values);
        next = (next + kBurst) % kNbDestinations;
    }
    report(state);
    state.counters["build_s"] = build_s.count();
    rte_fib6_free(fib);
}

void build_v4(benchmark::State& state) {
    build(state, Family::ipv4);
}
void build_v6(benchmark::State& state) {
    build(state, Family::ipv6);
}

#define MG_SIZES Arg(10)->Arg(1'000)->Arg(100'000)->Arg(1'000'000)
BENCHMARK(lookup_v4)->MG_SIZES;
BENCHMARK(rte_lookup_v4)->MG_SIZES;
BENCHMARK(lookup_v6)->MG_SIZES;
BENCHMARK(rte_lookup_v6)->MG_SIZES;
BENCHMARK(build_v4)->MG_SIZES->Unit(benchmark::kMillisecond);
BENCHMARK(build_v6)->MG_SIZES->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace meshgate

int main(int argc, char** argv) {
    // rte_fib takes its AVX-512 look-up only where the width is allowed by name.
    std::vector<std::string> words{
        "fib_bench",      "--no-huge",         "-m",
        "2048",           "--no-pci",          "--no-shconf",
        "--no-telemetry", "--log-level=error", "--force-max-simd-bitwidth=512"};
    std::vector<char*> pointers;
    for (std::string& word : words)
        pointers.push_back(word.data());
    if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0)
        return 1;
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
