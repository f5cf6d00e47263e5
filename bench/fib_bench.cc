// SPDX-License-Identifier: Apache-2.0
// Routes: built, swapped and looked up, 10 to 1 M prefixes, beside DPDK's rte_fib. Look-ups go in
// bursts of 32 random destinations, as the route stage's do.
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_memory.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "bench/eal.h"
#include "bench/figures.h"
#include "dataplane/tables/fib.h"
#include "dataplane/tables/published.h"
#include "dataplane/tables/retire_list.h"

namespace meshgate::bench {
namespace {

constexpr size_t kBurst = 32;
// More than any cache of one core holds, so that a look-up meets the table as traffic would.
constexpr size_t kNbDestinations = size_t{1} << 20;

// Lengths about as in the internet's table, in thousandths; the rest are hosts.
struct LenShare {
    uint8_t len;
    unsigned per_mille;
};
constexpr std::array<LenShare, 12> kInternetLensV4{{{24, 600},
                                                    {23, 100},
                                                    {22, 110},
                                                    {21, 50},
                                                    {20, 45},
                                                    {19, 30},
                                                    {18, 15},
                                                    {17, 9},
                                                    {16, 15},
                                                    {15, 2},
                                                    {14, 2},
                                                    {13, 2}}};

uint8_t internet_len_v4(std::mt19937_64& random) {
    auto left = static_cast<unsigned>(random() % 1000);
    for (const LenShare& share : kInternetLensV4) {
        if (left < share.per_mille)
            return share.len;
        left -= share.per_mille;
    }
    return 32;
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

std::array<uint8_t, 16> random_bytes(std::mt19937_64& random) {
    const std::array<uint64_t, 2> bits{random(), random()};
    std::array<uint8_t, 16> bytes;
    std::memcpy(bytes.data(), bits.data(), bytes.size());
    return bytes;
}

// A random host of the prefix.
IpAddress host_in(const Prefix& prefix, std::mt19937_64& random) {
    const std::array<uint8_t, 16> host = random_bytes(random);
    IpAddress address = prefix.network().address;
    for (unsigned byte = prefix.len / 8; byte < address.bits() / 8U; ++byte) {
        const unsigned nb_kept = byte == prefix.len / 8 ? prefix.len % 8 : 0;
        address.bytes[byte] =
            static_cast<uint8_t>(address.bytes[byte] | (host[byte] & (0xffU >> nb_kept)));
    }
    return address;
}

// The prefix with one bit of its second half turned, which mostly nobody has.
Prefix beside(Prefix prefix, std::mt19937_64& random) {
    const auto bit =
        static_cast<unsigned>(prefix.len / 2 + random() % (prefix.len - prefix.len / 2));
    prefix.address.bytes[bit / 8] =
        static_cast<uint8_t>(prefix.address.bytes[bit / 8] ^ (0x80U >> (bit % 8)));
    return prefix;
}

enum class Outcome : uint8_t { hit, miss };

std::vector<IpAddress> make_destinations(const std::vector<Fib::Route>& routes, const Fib& fib,
                                         Outcome outcome) {
    std::mt19937_64 random{7};
    std::vector<IpAddress> destinations;
    while (destinations.size() < kNbDestinations) {
        Prefix prefix = routes[random() % routes.size()].prefix;
        if (outcome == Outcome::miss)
            prefix = beside(prefix, random);
        const IpAddress address = host_in(prefix, random);
        if ((fib.lookup(address) != 0) == (outcome == Outcome::hit))
            destinations.push_back(address);
    }
    return destinations;
}

// All that the runs of one family and size share, each part made when first asked for.
class Table {
public:
    Table(Family family, size_t nb_routes) : family_{family}, nb_routes_{nb_routes} {}

    const std::vector<Fib::Route>& routes() {
        if (routes_.empty())
            routes_ = make_routes(family_, nb_routes_);
        return routes_;
    }
    const Fib& fib() {
        if (fib_ == nullptr)
            fib_ = Fib::build(routes());
        return *fib_;
    }
    const std::vector<IpAddress>& destinations(Outcome outcome) {
        auto& destinations = destinations_[outcome];
        if (destinations.empty())
            destinations = make_destinations(routes(), fib(), outcome);
        return destinations;
    }

private:
    Family family_;
    size_t nb_routes_;
    std::vector<Fib::Route> routes_;
    std::shared_ptr<const Fib> fib_;
    std::map<Outcome, std::vector<IpAddress>> destinations_;
};

// Calls `lookup(first destination)` for burst after burst.
template <typename Lookup>
void lookups(benchmark::State& state, Lookup lookup) {
    size_t next = 0;
    for (auto _ : state) {
        lookup(next);
        next = (next + kBurst) % kNbDestinations;
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBurst));
}

void lookup_v4(benchmark::State& state, Table& table, Outcome outcome) {
    std::vector<uint32_t> destinations;
    for (const IpAddress& address : table.destinations(outcome))
        destinations.push_back(address.v4_be());
    std::array<uint32_t, kBurst> values;
    const Fib& fib = table.fib();
    lookups(state, [&](size_t next) {
        fib.lookup_v4(values, std::span{destinations}.subspan(next, kBurst));
        benchmark::DoNotOptimize(values);
    });
}

void lookup_v6(benchmark::State& state, Table& table, Outcome outcome) {
    std::vector<const uint8_t*> pointers;
    for (const IpAddress& address : table.destinations(outcome))
        pointers.push_back(address.bytes.data());
    std::array<uint32_t, kBurst> values;
    const Fib& fib = table.fib();
    lookups(state, [&](size_t next) {
        fib.lookup_v6(values, std::span{pointers}.subspan(next, kBurst));
        benchmark::DoNotOptimize(values);
    });
}

void build(benchmark::State& state, Table& table) {
    const auto& routes = table.routes();
    std::shared_ptr<const Fib> fib;
    for (auto _ : state) {
        fib.reset();
        timed(state, [&] { fib = Fib::build(routes); });
    }
    state.SetItemsProcessed(state.iterations());
    state.counters["bytes_per_route"] =
        static_cast<double>(fib->memory_bytes()) / static_cast<double>(routes.size());
}

// A table in use gives way to its successor, and is freed as soon as no worker can be reading it.
void swap(benchmark::State& state, Table& table) {
    auto rcu = Rcu::create(1);
    if (!rcu)
        return state.SkipWithError(rcu.error().message.c_str());
    rte_rcu_qsbr_thread_register(rcu->get(), 0);
    rte_rcu_qsbr_thread_online(rcu->get(), 0);
    RetireList retired{*rcu};
    Published<Fib> published{Fib::build(table.routes())};
    for (auto _ : state) {
        auto next = Fib::build(table.routes());
        timed(state, [&] {
            retired.add(published.exchange(std::move(next)));
            rte_rcu_qsbr_quiescent(rcu->get(), 0);
            retired.reclaim();
        });
    }
    state.SetItemsProcessed(state.iterations());
    rte_rcu_qsbr_thread_offline(rcu->get(), 0);
    retired.reclaim();
}

struct FreeRteFib {
    void operator()(rte_fib* fib) const noexcept { rte_fib_free(fib); }
    void operator()(rte_fib6* fib) const noexcept { rte_fib6_free(fib); }
};
using RteFib4 = std::unique_ptr<rte_fib, FreeRteFib>;
using RteFib6 = std::unique_ptr<rte_fib6, FreeRteFib>;

RteFib4 make_rte_fib4(const std::string& name, const std::vector<Fib::Route>& routes) {
    rte_fib_conf conf{};
    conf.type = RTE_FIB_DIR24_8;
    conf.max_routes = static_cast<int>(routes.size()) + 1;
    conf.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
    conf.dir24_8.num_tbl8 = static_cast<uint32_t>(256 + routes.size() / 32);
    RteFib4 fib{rte_fib_create(name.c_str(), SOCKET_ID_ANY, &conf)};
    for (const Fib::Route& route : routes) {
        const uint32_t address = __builtin_bswap32(route.prefix.address.v4_be());
        if (fib == nullptr || rte_fib_add(fib.get(), address, route.prefix.len, route.value) != 0)
            return nullptr;
    }
    return fib;
}

RteFib6 make_rte_fib6(const std::string& name, const std::vector<Fib::Route>& routes) {
    constexpr size_t kTbl8PerRoute = 14;  // of a /128 that shares nothing with others
    rte_fib6_conf conf{};
    conf.type = RTE_FIB6_TRIE;
    conf.max_routes = static_cast<int>(routes.size()) + 1;
    conf.trie.nh_sz = RTE_FIB6_TRIE_4B;
    conf.trie.num_tbl8 =
        static_cast<uint32_t>(std::min(size_t{524'288}, 256 + routes.size() * kTbl8PerRoute));
    RteFib6 fib{rte_fib6_create(name.c_str(), SOCKET_ID_ANY, &conf)};
    for (const Fib::Route& route : routes) {
        if (fib == nullptr || rte_fib6_add(fib.get(), route.prefix.address.bytes.data(),
                                           route.prefix.len, route.value) != 0)
            return nullptr;
    }
    return fib;
}

// DPDK's table of the same routes: filled once, since for 1 M routes that takes seconds.
class RteTable {
public:
    RteTable(Family family, std::shared_ptr<Table> table)
        : family_{family}, table_{std::move(table)} {}

    // False where it does not hold the routes.
    bool make() {
        if (v4_ != nullptr || v6_ != nullptr)
            return true;
        if (!eal())
            return false;
        const auto& routes = table_->routes();
        const std::string name = "bench" + std::to_string(routes.size());
        const uint64_t begin_tsc = __rdtsc();
        if (family_ == Family::ipv4)
            v4_ = make_rte_fib4(name + "v4", routes);
        else
            v6_ = make_rte_fib6(name + "v6", routes);
        build_s_ = static_cast<double>(__rdtsc() - begin_tsc) / tsc_hz();
        return v4_ != nullptr || v6_ != nullptr;
    }

    void build(benchmark::State& state) {
        if (!make())
            return state.SkipWithError("rte_fib cannot hold them");
        for (auto _ : state)
            state.SetIterationTime(build_s_);
        state.SetItemsProcessed(state.iterations());
    }

    void lookup(benchmark::State& state, Outcome outcome) {
        if (!make())
            return state.SkipWithError("rte_fib cannot hold them");
        if (family_ == Family::ipv4)
            lookup_v4(state, outcome);
        else
            lookup_v6(state, outcome);
    }

private:
    void lookup_v4(benchmark::State& state, Outcome outcome) {
        std::vector<uint32_t> destinations;
        for (const IpAddress& address : table_->destinations(outcome))
            destinations.push_back(__builtin_bswap32(address.v4_be()));
        std::array<uint64_t, kBurst> values;
        lookups(state, [&](size_t next) {
            rte_fib_lookup_bulk(v4_.get(), &destinations[next], values.data(), kBurst);
            benchmark::DoNotOptimize(values);
        });
    }

    void lookup_v6(benchmark::State& state, Outcome outcome) {
        std::vector<std::array<uint8_t, 16>> destinations;
        for (const IpAddress& address : table_->destinations(outcome))
            destinations.push_back(address.bytes);
        std::array<uint64_t, kBurst> values;
        lookups(state, [&](size_t next) {
            // An array of arrays, as the function wants it.
            auto* burst = reinterpret_cast<uint8_t(*)[16]>(destinations[next].data());
            rte_fib6_lookup_bulk(v6_.get(), burst, values.data(), kBurst);
            benchmark::DoNotOptimize(values);
        });
    }

    Family family_;
    std::shared_ptr<Table> table_;
    RteFib4 v4_;
    RteFib6 v6_;
    double build_s_ = 0;
};

struct Size {
    size_t nb_routes;
    int64_t nb_swaps;    // before each a table is built
    int64_t max_builds;  // repetitions; 0: any number
    bool fits_rte_v6;
};
constexpr std::array<Size, 4> kSizes{{
    {10, 256, 0, true},
    {1'000, 64, 0, true},
    {100'000, 1, 9, true},
    {1'000'000, 1, 5, false},  // more tbl8 groups than rte_fib6 can have
}};

constexpr const char* kRteFib = "/rte_fib";

std::string name_of(const char* what, Family family, size_t nb_routes) {
    return std::string{"fib/"} + what + (family == Family::ipv4 ? "/ipv4/" : "/ipv6/") +
           std::to_string(nb_routes);
}

// Beside ten prefixes, and beside rte_fib where it holds them.
void add_lookups(Group& group, Family family, const Size& size, std::shared_ptr<Table> table,
                 std::shared_ptr<RteTable> rte) {
    const Quantity ns = ns_per("look-up");
    for (const Outcome outcome : {Outcome::hit, Outcome::miss}) {
        const std::string suffix = outcome == Outcome::hit ? "/hit" : "/miss";
        const std::string name = name_of("lookup", family, size.nb_routes) + suffix;
        const std::string ten = name_of("lookup", family, 10) + suffix;
        Run run{.figures = {{name, ns, name == ten ? name + kRteFib : ten}},
                .body = [=](benchmark::State& state) {
                    (family == Family::ipv4 ? lookup_v4 : lookup_v6)(state, *table, outcome);
                }};
        if (rte != nullptr && name != ten)
            run.figures.push_back({name + "/beside-rte_fib", ns, name + kRteFib});
        group.push_back(std::move(run));
        if (rte != nullptr)
            group.push_back(
                {.figures = {{name + kRteFib, ns, ""}},
                 .body = [=](benchmark::State& state) { rte->lookup(state, outcome); }});
    }
}

void add_builds(Group& group, Family family, const Size& size, std::shared_ptr<Table> table,
                std::shared_ptr<RteTable> rte) {
    const std::string build_name = name_of("build", family, size.nb_routes);
    const std::string memory_name = name_of("memory", family, size.nb_routes);
    const std::string memory_ten = name_of("memory", family, 10);
    group.push_back({.figures = {{build_name, us_per("build"),
                                  rte ? build_name + kRteFib : name_of("build", family, 10)},
                                 {memory_name, counted("bytes_per_route", "B/route", Better::less),
                                  memory_name == memory_ten ? "" : memory_ten}},
                     .body = [=](benchmark::State& state) { build(state, *table); },
                     .clock = Clock::manual,
                     .max_repetitions = size.max_builds});
    const std::string swap_name = name_of("swap", family, size.nb_routes);
    group.push_back({.figures = {{swap_name, us_per("swap"), build_name}},
                     .body = [=](benchmark::State& state) { swap(state, *table); },
                     .clock = Clock::manual,
                     .iterations = size.nb_swaps,
                     .max_repetitions = size.max_builds});
    if (rte != nullptr)
        group.push_back({.figures = {{build_name + kRteFib, us_per("build"), ""}},
                         .body = [=](benchmark::State& state) { rte->build(state); },
                         .clock = Clock::manual,
                         .iterations = 1,
                         .max_repetitions = 1});
}

std::vector<Group> groups() {
    std::vector<Group> groups;
    for (const Family family : {Family::ipv4, Family::ipv6}) {
        Group& group = groups.emplace_back();
        for (const Size& size : kSizes) {
            auto table = std::make_shared<Table>(family, size.nb_routes);
            std::shared_ptr<RteTable> rte;
            if (family == Family::ipv4 || size.fits_rte_v6)
                rte = std::make_shared<RteTable>(family, table);
            add_lookups(group, family, size, table, rte);
            add_builds(group, family, size, table, rte);
        }
    }
    return groups;
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, meshgate::bench::groups());
}
