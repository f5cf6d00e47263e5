// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "control/underlay/links.h"
#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::control {

inline constexpr uint16_t kListenPort = 51820;

inline DataplaneOptions two_wans() {
    DataplaneOptions options;
    options.ports.push_back({.name = "wan0", .role = PortRole::wan});
    options.ports.push_back({.name = "wan1", .role = PortRole::wan});
    return options;
}

inline UnderlayPort wan(PortId id, const char* address, const char* gateway) {
    return {.id = id,
            .mac = FakeDataplane::mac_of(id),
            .addresses = {*parse_prefix(address)},
            .gateway_v4 = *parse_address(gateway),
            .gateway_v6 = {}};
}

inline wireguard::SendMessage initiation_to(const Endpoint& remote, PeerId peer = kNoPeer) {
    wireguard::SendMessage message;
    message.peer = peer;
    message.message.len = 148;
    message.message.bytes[0] = 1;
    message.to.remote = remote;
    return message;
}

class LinksTest : public testing::Test {
protected:
    LinksTest() {
        std::vector<Neighbors::Port> networks;
        for (const UnderlayPort& port : ports)
            networks.push_back({.identity = {port.mac, 0},
                                .addresses = {port.addresses[0].address},
                                .networks = {port.addresses[0].network()},
                                .gateways = {port.gateway_v4}});
        neighbors.set_ports(networks, now);
        links.set_ports(ports, now);
        links.set_listen_ports({kListenPort}, now);
        for (PeerId& each : peers)
            each = fake.add_peer();
    }

    static MacAddress gateway_mac(PortId port) {
        return {{2, 9, 9, 9, 9, static_cast<uint8_t>(port)}};
    }
    // Answers the questions that are out for gateways; everybody beyond is reached by them.
    void resolve_gateways() {
        for (const auto& frame : neighbors.take_frames()) {
            const auto question = parse_neighbor_frame(frame.frame, 0);
            if (question && question->kind == NeighborMessage::Kind::question)
                neighbors.receive(frame.port, build_answer({gateway_mac(frame.port), 0}, *question),
                                  now);
        }
        settle();
    }
    void settle() {
        for (const auto& event : neighbors.take_events())
            links.on_neighbor(event, now);
    }
    // Nobody answers for `seconds`.
    void pass(int seconds) {
        for (int i = 0; i < seconds; ++i) {
            now += std::chrono::seconds{1};
            neighbors.tick(now);
            links.tick(now);
            settle();
        }
    }
    const Link* path() const { return fake.path(peer); }
    bool waits(PeerId which) const {
        return fake.path(which) != nullptr && fake.path(which)->header_len == 0;
    }
    void start_session(PeerId which, uint32_t remote_index_le) {
        static constexpr std::array<uint8_t, 32> kKey{};
        ASSERT_TRUE(fake.install({.send_key = kKey,
                                  .receive_key = kKey,
                                  .local_index = which + 100,
                                  .remote_index_le = remote_index_le,
                                  .peer = which,
                                  .initiator = Initiator::us,
                                  .reject_after_tsc = UINT64_MAX}));
        fake.set_sending(which, which + 100);
    }

    std::vector<UnderlayPort> ports{wan(0, "192.0.2.1/24", "192.0.2.254"),
                                    wan(1, "203.0.113.1/24", "203.0.113.254")};
    const Endpoint far_end{*parse_address("198.51.100.7"), kListenPort};
    const LinkKey far{0, far_end};
    Time now = Time{} + std::chrono::hours{1};
    FakeDataplane fake{two_wans()};
    Neighbors neighbors{64, 1};
    Links links{fake, neighbors};
    std::array<PeerId, 6> peers{};
    const PeerId& peer = peers[0];
};

}  // namespace meshgate::control
