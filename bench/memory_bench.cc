// SPDX-License-Identifier: Apache-2.0
// What a peer and a route cost in memory: a whole gateway, on the tests' dataplane, is grown from
// some peers to ten times as many, and what the heap grew by is divided. The dataplane's arrays,
// which have a place for each peer that may come, are added.
#include <malloc.h>

#include <vector>

#include "bench/control_box.h"
#include "bench/figures.h"
#include "dataplane/tables/index_table.h"
#include "dataplane/worker/activity.h"

namespace meshgate::bench {
namespace {

constexpr size_t kFew = 300;
constexpr size_t kMany = 10 * kFew;
constexpr size_t kFewRoutes = 1'000;
constexpr size_t kManyRoutes = 10 * kFewRoutes;
constexpr unsigned kNbWorkers = 1;
constexpr size_t kKeypairsPerPeer = 4;  // as dataplane.cc makes room for
constexpr uint64_t kRekeyNs = 120'000'000'000;

size_t heap_bytes() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

// How far sessions have gone.
enum class Sessions : uint8_t { none, one, rekeyed };

// The heap of a gateway with these clients; 0 where a handshake failed.
size_t bytes_with(std::span<const SecretKey> keys, const SecretKey& own_key, Sessions sessions) {
    const size_t before = heap_bytes();
    ControlBox box{model_with_clients(keys), own_key};
    for (int i = 0; i < static_cast<int>(sessions); ++i) {
        for (uint32_t client = 0; client < keys.size(); ++client) {
            box.arrive(box.initiation_of(keys[client]), client);
            box.settle();
        }
        box.confirm();
        box.pass(kRekeyNs);
    }
    box.rest();
    if (box.nb_keypairs() != keys.size() * static_cast<size_t>(sessions))
        return 0;
    return heap_bytes() - before;
}

// Of each place for a peer: its slot is the tests' dataplane's, too, and counted there.
size_t bytes_of_place() {
    const DataplaneOptions options;
    const size_t table = IndexTable::create(options.max_peers * kKeypairsPerPeer)->memory_bytes();
    return kNbWorkers * sizeof(PeerActivity) + table / options.max_peers;
}

void peers(benchmark::State& state, Sessions sessions) {
    const auto keys = make_keys(kMany);
    const SecretKey own_key = generate_private_key();
    // The first gateway of the process makes what all of them share.
    bytes_with(std::span{keys}.first(1), own_key, sessions);
    for (auto _ : state) {
        const size_t few = bytes_with(std::span{keys}.first(kFew), own_key, sessions);
        const size_t many = bytes_with(keys, own_key, sessions);
        if (few == 0 || many == 0)
            return state.SkipWithError("a handshake failed");
        state.counters["bytes"] = static_cast<double>(many - few) / (kMany - kFew) +
                                  static_cast<double>(bytes_of_place());
    }
}

size_t bytes_with_routes(size_t nb_routes) {
    const size_t before = heap_bytes();
    config::Model model = model_of_box();
    config::Peer peer;
    const SecretKey key = generate_private_key();
    peer.public_key = public_key_of(key);
    for (uint32_t i = 0; i < nb_routes; ++i)
        peer.allowed_ips.push_back(Prefix{v4(0x0a000000 + (i << 8)), 24});
    model.peers.push_back(std::move(peer));
    ControlBox box{std::move(model), generate_private_key()};
    box.rest();
    return heap_bytes() - before;
}

void routes(benchmark::State& state) {
    bytes_with_routes(1);
    for (auto _ : state)
        state.counters["bytes"] =
            static_cast<double>(bytes_with_routes(kManyRoutes) - bytes_with_routes(kFewRoutes)) /
            (kManyRoutes - kFewRoutes);
}

void fib(benchmark::State& state) {
    std::vector<Fib::Route> routes;
    for (uint32_t i = 0; i < kManyRoutes; ++i)
        routes.push_back({Prefix{v4(0x0a000000 + (i << 8)), 24}, 1});
    for (auto _ : state)
        state.counters["bytes"] =
            static_cast<double>(Fib::build(routes)->memory_bytes()) / kManyRoutes;
}

Run counting(const std::string& name, const std::string& unit, const std::string& reference,
             std::function<void(benchmark::State&)> body) {
    return {.figures = {{name, counted("bytes", unit, Better::less), reference}},
            .body = std::move(body),
            .iterations = 1,
            .max_repetitions = 1};
}

std::vector<Group> groups() {
    const auto of_peers = [](Sessions sessions) {
        return [=](benchmark::State& state) { peers(state, sessions); };
    };
    const std::string without = "memory/peer/without-session";
    return {{counting(without, "B/peer", "memory/peer/keypair", of_peers(Sessions::none)),
             counting("memory/peer/idle", "B/peer", without, of_peers(Sessions::one)),
             counting("memory/peer/rekeyed", "B/peer", without, of_peers(Sessions::rekeyed)),
             counting("memory/peer/keypair", "B/session", "",
                      [](benchmark::State& state) {
                          for (auto _ : state)
                              state.counters["bytes"] = sizeof(Keypair);
                      })},
            {counting("memory/route", "B/route", "memory/route/fib", routes),
             counting("memory/route/fib", "B/route", "", fib)}};
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, meshgate::bench::groups());
}
