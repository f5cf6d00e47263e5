// SPDX-License-Identifier: Apache-2.0
// What the daemon asks of itself every second: how much that costs, and what it says of readiness.
#include <gtest/gtest.h>

#include "control/daemon/dataplane_options.h"
#include "control/daemon/state_view.h"
#include "control/host_interfaces/host_interfaces.h"
#include "tests/unit/control/fake_dataplane.h"
#include "tests/unit/control/wireguard/allocation_counter.h"

namespace meshgate::control {
namespace {

config::Model model_with(size_t nb_peers, size_t nb_prefixes) {
    config::Model model;
    model.node.name = "berlin";
    config::Port wan;
    wan.name = "wan0";
    wan.role = config::Role::wan;
    wan.addresses = {*parse_prefix("198.51.100.2/24")};
    model.ports = {wan};
    for (size_t i = 0; i < nb_peers; ++i) {
        config::Peer peer;
        peer.name = "peer-" + std::to_string(i);
        peer.public_key.bytes = {9, static_cast<uint8_t>(i), static_cast<uint8_t>(i >> 8)};
        model.peers.push_back(peer);
    }
    IpAddress address = *parse_address("10.0.0.0");
    for (size_t i = 0; i < nb_prefixes; ++i) {
        address.bytes[1] = static_cast<uint8_t>(i >> 16);
        address.bytes[2] = static_cast<uint8_t>(i >> 8);
        address.bytes[3] = static_cast<uint8_t>(i);
        model.peers.front().allowed_ips.push_back({address, 32});
    }
    return model;
}

DataplaneOptions options_of(const config::Model& model) {
    DataplaneOptions options = dataplane_options(model);
    options.nb_mbufs = 4096;
    return options;
}

struct Box {
    explicit Box(config::Model model) : dataplane{options_of(model)} {
        Secrets secrets;
        secrets.private_key = SecretKey{std::array<uint8_t, kKeyLen>{1, 2, 3}};
        auto made = Gateway::create({.dataplane = dataplane,
                                     .log = log,
                                     .clock = [this] { return Now::at(dataplane.now_ns, 1); },
                                     .timings = {}},
                                    std::move(model), std::move(secrets));
        gateway = std::move(*made);
        host = std::make_unique<HostInterfaces>(std::vector<config::Port>{},
                                                HostInterfaces::Options{}, log);
        reload = std::make_unique<Reload>(*gateway, log, "meshgate.yaml");
        view = std::make_unique<StateView>(*gateway, *reload, *host);
    }

    Log log{config::Log{.level = config::LogLevel::error, .format = config::LogFormat::text}};
    FakeDataplane dataplane;
    std::unique_ptr<Gateway> gateway;
    std::unique_ptr<HostInterfaces> host;
    std::unique_ptr<Reload> reload;
    std::unique_ptr<StateView> view;
};

size_t bytes_of_a_status(Box& box) {
    box.view->status();
    const size_t before = allocated_bytes();
    box.view->status();
    return allocated_bytes() - before;
}

// It is made every second on the thread that answers handshakes: counts are kept where they change.
TEST(Status, CostsTheSameForAMillionRoutesAndTenThousandPeers) {
    Box small{model_with(1, 1)};
    Box large{model_with(10'000, 1'000'000)};
    EXPECT_EQ(large.view->status().routes, 1'000'001U);  // and the port's own address
    EXPECT_EQ(large.view->status().routes_of_kind[static_cast<size_t>(RouteKind::peer)],
              1'000'000U);
    EXPECT_EQ(large.view->status().peers_total, 10'000U);
    EXPECT_EQ(bytes_of_a_status(large), bytes_of_a_status(small));
    EXPECT_LT(bytes_of_a_status(large), 65536U);
    RecordProperty("bytes", std::to_string(bytes_of_a_status(large)));
}

TEST(Status, IsReadyFromTheFirstTurnUntilItIsAskedToStop) {
    Box box{model_with(1, 1)};
    EXPECT_EQ(box.view->status().readiness, Readiness::starting);
    box.gateway->up();
    EXPECT_EQ(box.view->status().readiness, Readiness::ready);
    box.gateway->leave();
    EXPECT_EQ(box.view->status().readiness, Readiness::leaving);
}

TEST(Status, IsNotReadyWhileAWorkerStands) {
    Box box{model_with(1, 1)};
    box.gateway->up();
    box.dataplane.workers_asleep = false;
    const auto second = [&](bool turns) {
        box.dataplane.now_ns += 1'000'000'000;
        if (turns)
            box.dataplane.count_worker_turn();
        box.view->sample_workers();
        return box.view->status().readiness;
    };
    EXPECT_EQ(second(true), Readiness::ready);
    EXPECT_EQ(second(true), Readiness::ready);
    EXPECT_EQ(second(false), Readiness::workers_stalled);
    EXPECT_EQ(second(true), Readiness::ready);
    box.dataplane.workers_asleep = true;
    EXPECT_EQ(second(false), Readiness::ready);
}

}  // namespace
}  // namespace meshgate::control
