// SPDX-License-Identifier: Apache-2.0
// What a peer and a route cost in memory: a whole gateway, on the tests' dataplane, is grown from
// some peers to ten times as many, and what the heap grew by is divided. The dataplane's arrays,
// which have a place for each peer that may come, are added.
#include <malloc.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "bench/figures.h"
#include "control/dataplane_options.h"
#include "control/gateway.h"
#include "control/publish/rib.h"
#include "dataplane/index_table.h"
#include "tests/unit/control_fake_dataplane.h"

namespace meshgate::bench {
namespace {

using namespace control;

constexpr size_t kFew = 300;
constexpr size_t kMany = 10 * kFew;
constexpr size_t kFewRoutes = 1'000;
constexpr size_t kManyRoutes = 10 * kFewRoutes;
constexpr unsigned kNbWorkers = 1;
constexpr size_t kKeypairsPerPeer = 4;  // as dataplane.cc makes room for
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kRekeyNs = 120 * kSecondNs;

size_t heap_bytes() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

IpAddress v4(uint32_t host) {
    return IpAddress::v4(__builtin_bswap32(host));
}

Prefix v6_host(uint32_t host) {
    Prefix prefix = *parse_prefix("fd00::/128");
    for (int i = 0; i < 4; ++i)
        prefix.address.bytes[15 - i] = static_cast<uint8_t>(host >> 8 * i);
    return prefix;
}

config::Model model_of_box() {
    config::Port wan;
    wan.name = "wan0";
    wan.role = config::Role::wan;
    wan.addresses = {*parse_prefix("192.0.2.1/24")};
    wan.gateway_v4 = parse_address("192.0.2.254");
    config::Port lan;
    lan.name = "lan0";
    lan.role = config::Role::lan;
    lan.addresses = {*parse_prefix("192.168.1.1/24")};
    config::Model model;
    model.ports = {wan, lan};
    return model;
}

// Clients with an IPv4 and an IPv6 address each.
config::Model model_with_peers(std::span<const SecretKey> keys) {
    config::Model model = model_of_box();
    for (size_t i = 0; i < keys.size(); ++i) {
        config::Peer peer;
        peer.name = "client-" + std::to_string(i);
        peer.public_key = public_key_of(keys[i]);
        const auto host = static_cast<uint32_t>(i);
        peer.allowed_ips = {Prefix{v4(0x0a000000 + host), 32}, v6_host(host)};
        model.peers.push_back(std::move(peer));
    }
    return model;
}

std::vector<SecretKey> make_keys(size_t nb_keys) {
    std::vector<SecretKey> keys;
    for (size_t i = 0; i < nb_keys; ++i)
        keys.push_back(generate_private_key());
    return keys;
}

// A gateway whose next hop answers; its clock moves where somebody says so.
class Box {
public:
    explicit Box(config::Model model, const SecretKey& key)
        : public_key_{public_key_of(key)}, dataplane_{dataplane_options(model)} {
        Secrets secrets;
        secrets.private_key = key.clone();
        gateway_ = *Gateway::create({.dataplane = dataplane_,
                                     .log = log_,
                                     .clock = [this] { return now(); },
                                     .timings = {}},
                                    std::move(model), std::move(secrets));
        gateway_->up();
        settle();
    }

    void pass(uint64_t duration_ns) { clock_ns_ += duration_ns; }

    // The client's initiation, our response, and its first packet. False where one is missing.
    bool handshake(const SecretKey& key, uint32_t number) {
        wireguard::Device client{{}};
        client.set_private_key(key.clone(), now());
        client.add_peer(
            0, {.public_key = public_key_, .endpoint = parse_endpoint("192.0.2.1:51820")}, now());
        client.up(now());
        client.on_no_session(0, now());
        std::vector<wireguard::Action> actions;
        client.drain(actions);
        const size_t nb_before = dataplane_.keypairs.size();
        for (const auto& action : actions) {
            if (const auto* send = std::get_if<wireguard::SendMessage>(&action))
                dataplane_.punt(Punt::handshake, send->message.view(),
                                {.port = 0,
                                 .remote = {v4(0x64400000 + number), 51820},
                                 .local = {*parse_address("192.0.2.1"), 51820}});
        }
        settle();
        if (dataplane_.keypairs.size() != nb_before + 1)
            return false;
        confirm();
        return true;
    }

    // What samples of traffic leave behind, and what only the tests' dataplane remembers is gone.
    void rest() {
        for (size_t i = 0; i < kMany; ++i)
            gateway_->sample();
        std::vector<std::string>{}.swap(dataplane_.steps);
        std::vector<FakeDataplane::Sent>{}.swap(dataplane_.sent);
        malloc_trim(0);
    }

private:
    Now now() {
        dataplane_.now_ns = clock_ns_;
        return {.monotonic_ns = clock_ns_, .wall_ns = 1'700'000'000 * kSecondNs + clock_ns_};
    }

    void poll() {
        while (gateway_->poll()) {
        }
    }

    // Answers questions for MAC addresses; what else is sent arrives nowhere.
    void settle() {
        poll();
        for (const FakeDataplane::Sent& sent : dataplane_.take_sent()) {
            const auto asked = sent.info.inject == Inject::frame
                                   ? parse_neighbor_frame(sent.bytes, 0)
                                   : std::nullopt;
            if (asked && asked->kind == NeighborMessage::Kind::question)
                dataplane_.punt(Punt::arp,
                                build_answer({MacAddress{{2, 0, 0, 0, 9, 9}}, 0}, *asked),
                                {.port = sent.info.port});
        }
        poll();
        dataplane_.take_sent();
    }

    // The first packet of the newest session arrives.
    void confirm() {
        for (const auto& [index, keypair] : dataplane_.keypairs) {
            if (dataplane_.peer(keypair->peer).sending.load() != keypair.get() &&
                !keypair->confirmed.exchange(true))
                dataplane_.notes.push_back({.kind = Note::Kind::confirmed, .local_index = index});
        }
        settle();
    }

    PublicKey public_key_;
    uint64_t clock_ns_ = 3'600 * kSecondNs;
    Log log_{config::Log{.level = config::LogLevel::error, .format = config::LogFormat::text}};
    FakeDataplane dataplane_;
    std::unique_ptr<Gateway> gateway_;
};

// How far sessions have gone.
enum class Sessions : uint8_t { none, one, rekeyed };

// The heap of a gateway with these clients; 0 where a handshake failed.
size_t bytes_with(std::span<const SecretKey> keys, const SecretKey& own_key, Sessions sessions) {
    const size_t before = heap_bytes();
    Box box{model_with_peers(keys), own_key};
    for (int i = 0; i < static_cast<int>(sessions); ++i) {
        for (size_t client = 0; client < keys.size(); ++client) {
            if (!box.handshake(keys[client], static_cast<uint32_t>(client)))
                return 0;
        }
        box.pass(kRekeyNs);
    }
    box.rest();
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
    Box box{std::move(model), generate_private_key()};
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
            .repetitions = 1};
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
