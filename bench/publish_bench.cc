// SPDX-License-Identifier: Apache-2.0
// What a change costs the control thread until the workers see it and the old state is freed: a
// neighbour was learnt, a route came, all peers' datagrams take another link, a session begins.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "bench/figures.h"
#include "control/routing/rib.h"
#include "control/routing/snapshot_builder.h"
#include "dataplane/tables/index_table.h"
#include "dataplane/tables/peer_slot.h"
#include "dataplane/tables/published.h"
#include "dataplane/tables/retire_list.h"

namespace meshgate::bench {
namespace {

using namespace control;

constexpr std::array<size_t, 4> kSizes{10, 1'000, 100'000, 1'000'000};  // prefixes
constexpr size_t kMaxPeers = 10'000;
constexpr size_t kNbNeighbors = 250;  // of a LAN
constexpr MacAddress kMac{{2, 0, 0, 0, 0, 1}};

// One worker that always just reported: what is retired can be freed at once.
class Reader {
public:
    Reader() : rcu_{Rcu::create(1).value()}, retired_{rcu_} {
        rte_rcu_qsbr_thread_register(rcu_.get(), 0);
        rte_rcu_qsbr_thread_online(rcu_.get(), 0);
    }
    ~Reader() {
        rte_rcu_qsbr_thread_offline(rcu_.get(), 0);
        retired_.reclaim();
    }
    RetireList& retired() { return retired_; }
    void reclaim() {
        rte_rcu_qsbr_quiescent(rcu_.get(), 0);
        retired_.reclaim();
    }

private:
    Rcu rcu_;
    RetireList retired_;
};

std::vector<config::Port> ports() {
    config::Port wan;
    wan.name = "wan0";
    wan.role = config::Role::wan;
    wan.addresses = {*parse_prefix("198.51.100.2/24")};
    config::Port lan;
    lan.name = "lan0";
    lan.role = config::Role::lan;
    lan.addresses = {*parse_prefix("192.168.1.1/24")};
    return {wan, lan};
}

IpAddress v4(uint32_t host) {
    return IpAddress::v4(__builtin_bswap32(host));
}

// IPv4 prefixes of 256 addresses, spread evenly over the peers.
std::vector<PeerPrefixes> prefixes_of_peers(size_t nb_prefixes) {
    std::vector<PeerPrefixes> peers(std::min(nb_prefixes, kMaxPeers));
    for (size_t i = 0; i < peers.size(); ++i)
        peers[i].peer = static_cast<PeerId>(i);
    for (size_t i = 0; i < nb_prefixes; ++i) {
        const auto network = static_cast<uint32_t>(0x01000000 + (i << 8));
        peers[i % peers.size()].allowed_ips.push_back(Prefix{v4(network), 24});
    }
    return peers;
}

std::vector<NeighborTable::Neighbor> neighbors() {
    std::vector<NeighborTable::Neighbor> result;
    for (uint32_t i = 2; i < kNbNeighbors + 2; ++i)
        result.push_back({1, v4(0xc0a80100 + i), kMac});
    return result;
}

// The routes of so many prefixes, published.
struct Control {
    explicit Control(size_t nb_prefixes) : peers{prefixes_of_peers(nb_prefixes)} {
        builder.set_ports(all_ports, std::array{kMac, kMac});
        builder.set_routes(build_rib(all_ports, {}, peers));
        published = std::make_unique<Published<Snapshot>>(builder.build());
    }

    void publish() {
        reader.retired().add(published->exchange(builder.build()));
        reader.reclaim();
    }

    Reader reader;
    std::vector<config::Port> all_ports = ports();
    std::vector<PeerPrefixes> peers;
    SnapshotBuilder builder;
    std::unique_ptr<Published<Snapshot>> published;
};

void neighbor_learnt(benchmark::State& state, Control& control) {
    const auto all_neighbors = neighbors();
    for (auto _ : state) {
        control.builder.set_neighbors(all_neighbors);
        control.publish();
    }
    state.SetItemsProcessed(state.iterations());
}

// A peer's last prefix comes and goes.
void route_changed(benchmark::State& state, Control& control) {
    auto& changing = control.peers.front().allowed_ips;
    const Prefix prefix = *parse_prefix("203.0.113.0/24");
    for (auto _ : state) {
        if (changing.back() == prefix)
            changing.pop_back();
        else
            changing.push_back(prefix);
        if (!control.builder.set_routes(build_rib(control.all_ports, {}, control.peers)))
            return state.SkipWithError("nothing changed");
        control.publish();
    }
    state.SetItemsProcessed(state.iterations());
}

// The table alone, which is the greatest part of it.
void build_fib(benchmark::State& state, const Control& control) {
    std::vector<Fib::Route> routes;
    for (const PeerPrefixes& peer : control.peers) {
        for (const Prefix& prefix : peer.allowed_ips)
            routes.push_back({prefix, peer.peer + 1});
    }
    for (auto _ : state)
        benchmark::DoNotOptimize(Fib::build(routes));
    state.SetItemsProcessed(state.iterations());
}

// Every peer's path, one store each, and the old links freed.
void paths_moved(benchmark::State& state) {
    Reader reader;
    std::vector<PeerSlot> slots(kMaxPeers);
    std::vector<std::shared_ptr<const Link>> links(kMaxPeers);
    const Endpoint local{*parse_address("198.51.100.2"), 51820};
    for (auto _ : state) {
        for (size_t i = 0; i < kMaxPeers; ++i) {
            auto link = std::make_shared<const Link>(
                make_link({.port = 0,
                           .port_mtu_bytes = 1500,
                           .vlan = kNoVlan,
                           .source_mac = kMac,
                           .next_hop_mac = kMac,
                           .local = local,
                           .remote = {v4(static_cast<uint32_t>(0x64400000 + i)), 51820}}));
            slots[i].path.store(link.get(), std::memory_order_release);
            std::swap(links[i], link);
            reader.retired().add(std::move(link));
        }
        reader.reclaim();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kMaxPeers));
}

// A keypair enters the index table, sends, and leaves again; its keys are wiped.
void session_came_and_went(benchmark::State& state) {
    Reader reader;
    auto table = IndexTable::create(4 * kMaxPeers);
    if (!table)
        return state.SkipWithError(table.error().message.c_str());
    PeerSlot slot;
    uint32_t index = 0;
    for (auto _ : state) {
        auto keypair = std::make_shared<Keypair>();
        keypair->local_index = ++index;
        if (!table->insert(index, IndexEntry{keypair.get()}))
            return state.SkipWithError("no room");
        slot.sending.store(keypair.get(), std::memory_order_release);
        slot.sending.store(nullptr, std::memory_order_release);
        table->erase(index);
        reader.retired().add_action([&table, index, keypair] { table->recycle(index); });
        keypair.reset();
        reader.reclaim();
    }
    state.SetItemsProcessed(state.iterations());
}

Group group() {
    Group group;
    for (const size_t size : kSizes) {
        const Lazy<Control> control{[size] { return std::make_unique<Control>(size); }};
        const int64_t max_repetitions = size < 1'000'000 ? 0 : 5;
        const std::string number = std::to_string(size);
        const std::string ten = "publish/neighbor/10";
        group.push_back(
            {.figures = {{"publish/neighbor/" + number, us_per("publication"),
                          size == 10 ? "publish/route/10" : ten}},
             .body = [=](benchmark::State& state) { neighbor_learnt(state, *control.get()); }});
        const std::string fib = "publish/route/" + number + "/fib";
        group.push_back(
            {.figures = {{"publish/route/" + number, us_per("publication"), fib}},
             .body = [=](benchmark::State& state) { route_changed(state, *control.get()); },
             .max_repetitions = max_repetitions});
        group.push_back({.figures = {{fib, us_per("build"), ""}},
                         .body = [=](benchmark::State& state) { build_fib(state, *control.get()); },
                         .max_repetitions = max_repetitions});
    }
    group.push_back(
        {.figures = {{"publish/path", us_per("peer"), "publish/route/10"}}, .body = paths_moved});
    group.push_back({.figures = {{"publish/session", us_per("session"), "publish/route/10"}},
                     .body = session_came_and_went});
    return group;
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, {meshgate::bench::group()});
}
