// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/network.h"
#include "control/log/log.h"
#include "control/mesh/members/channel.h"
#include "control/mesh/members/member_endpoints.h"
#include "control/mesh/members/member_table.h"
#include "control/mesh/probing/link_prober.h"
#include "control/mesh/probing/member_links.h"
#include "control/mesh/probing/port_terms.h"
#include "control/neighbor/neighbors.h"
#include "control/packets/udp.h"
#include "control/underlay/links.h"
#include "control/wireguard/device.h"
#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::mesh::test {

using namespace std::chrono_literals;

constexpr config::AuthorityKey kAuthority{{1, 2, 3}};
constexpr PortId kWan0 = 0;
constexpr PortId kWan1 = 1;

inline SecretKey secret_of(std::string_view name) {
    std::array<uint8_t, kKeyLen> bytes{};
    std::copy_n(name.begin(), std::min(name.size(), bytes.size()), bytes.begin());
    return SecretKey{bytes};
}
inline PublicKey key_of(std::string_view name) {
    return public_key_of(secret_of(name));
}
inline IpAddress node_of(std::string_view name) {
    return config::node_address(kAuthority, key_of(name));
}

enum class Role : uint8_t { leaf, relay };

struct Who {
    const char* name;
    Role role = Role::leaf;
    const char* endpoint = nullptr;  // "192.0.2.1:51820" or "name.example:51820"
};

inline config::Member info_of(const Who& who) {
    config::Member info;
    info.name = who.name;
    info.public_key = key_of(who.name);
    info.relay = who.role == Role::relay;
    if (who.endpoint == nullptr)
        return info;
    config::MemberEndpoint endpoint;
    endpoint.text = who.endpoint;
    endpoint.literal = parse_endpoint(who.endpoint);
    const auto colon = endpoint.text.rfind(':');
    if (!endpoint.literal)
        endpoint.host = endpoint.text.substr(0, colon);
    endpoint.port = static_cast<uint16_t>(std::stoul(endpoint.text.substr(colon + 1)));
    info.endpoints.push_back(endpoint);
    return info;
}

inline config::Network network_of(std::initializer_list<Who> everybody) {
    config::Network network;
    network.version = 7;
    network.name = "acme";
    for (const Who& who : everybody)
        network.members.push_back(info_of(who));
    return network;
}

// Parts of the box "berlin", with two wan ports, in a network of the test's choice.
class BoxTest : public testing::Test, protected LinkUser {
protected:
    BoxTest() {
        std::vector<UnderlayPort> ports{
            {.id = kWan0, .addresses = {*parse_prefix("203.0.113.2/24")}},
            {.id = kWan1, .addresses = {*parse_prefix("198.51.100.2/24")}}};
        ports[0].gateway_v4 = *parse_address("203.0.113.1");
        ports[1].gateway_v4 = *parse_address("198.51.100.1");
        std::vector<control::Neighbors::Port> networks;
        for (UnderlayPort& port : ports) {
            port.mac = control::FakeDataplane::mac_of(port.id);
            networks.push_back({.identity = {port.mac, 0},
                                .addresses = {port.addresses[0].address},
                                .networks = {port.addresses[0].network()},
                                .gateways = {port.gateway_v4}});
        }
        neighbors.set_ports(networks, now);
        underlay.set_ports(ports, now);
        underlay.set_listen_ports({51820}, now);
        config::Model box;
        box.ports.resize(2);
        box.ports[0].name = "wan0";
        box.ports[1].name = "wan1";
        box.ports[1].metered = true;
        port_terms.set(box);
        device.set_private_key(secret_of("berlin"), {.mono = now});
        device.up({.mono = now});
    }

    static DataplaneOptions two_wans() {
        DataplaneOptions options;
        options.max_peers = 64;
        options.ports.push_back({.name = "wan0", .role = PortRole::wan});
        options.ports.push_back({.name = "wan1", .role = PortRole::wan});
        return options;
    }

    // The network file in force; "berlin" should be in it.
    void set_network(std::initializer_list<Who> everybody) {
        const auto changes = members.set_network(network_of(everybody));
        for (const Member* member : changes.gone)
            members.remove(*member);
        for (const config::Member& info : changes.fresh) {
            Member& member = members.add(info, fake.add_peer());
            underlay.wait(member.peer);
            device.add_peer(member.peer,
                            {.public_key = info.public_key,
                             .preshared_key = SecretKey{},
                             .endpoint = wireguard::NodeAddress{member.node}},
                            {.mono = now});
        }
    }
    Member& member(const char* name) { return *members.named(name); }

    // A keypair of each number at both ends, that sends.
    void start_session(Member& with, uint32_t local_index, uint32_t remote_index) {
        install(with, local_index, remote_index);
        fake.set_sending(with.peer, local_index);
    }
    void install(Member& with, uint32_t local_index, uint32_t remote_index) {
        static constexpr std::array<uint8_t, 32> kKey{};
        ASSERT_TRUE(fake.install({.send_key = kKey,
                                  .receive_key = kKey,
                                  .local_index = local_index,
                                  .remote_index_le = remote_index,
                                  .peer = with.peer,
                                  .initiator = Initiator::us,
                                  .reject_after_tsc = UINT64_MAX}));
        with.keypairs[local_index] = remote_index;
    }
    LinkId add_link(Member& to, const char* endpoint, PortId port = kWan0) {
        MemberLink* link =
            links.add(to, {port, *parse_endpoint(endpoint)}, LinkOrigin::network_file, now);
        return link == nullptr ? kNoLink : link->id;
    }
    // What was sealed for the member and is a mesh message, since the last call.
    std::vector<Message> messages_to(const Member& to) {
        std::vector<Message> result;
        for (const auto& sent : fake.take_sent()) {
            const auto udp = control::parse_udp(sent.bytes);
            if (sent.info.peer != to.peer || !udp || udp->destination.address != to.node)
                continue;
            if (auto message = decode(udp->payload))
                result.push_back(std::move(*message));
        }
        return result;
    }
    // The gateways of both ports answer.
    void resolve_gateways() {
        const MacAddress mac{{2, 9, 9, 9, 9, 9}};
        for (const auto& frame : neighbors.take_frames()) {
            const auto question = control::parse_neighbor_frame(frame.frame, 0);
            if (question && question->kind == control::NeighborMessage::Kind::question)
                neighbors.receive(frame.port, control::build_answer({mac, 0}, *question), now);
        }
        for (const auto& event : neighbors.take_events())
            underlay.on_neighbor(event, now);
    }
    bool wants_handshake(const Member& with) const {
        return device.peer_view(with.peer)->handshake_in_progress;
    }

    void on_link_gone(LinkId link, Time at) override {
        gone.push_back(link);
        prober.on_link_gone(link, at);
    }

    Time now = Time{} + 1h;
    control::FakeDataplane fake{two_wans()};
    control::Neighbors neighbors{64, 1};
    control::Links underlay{fake, neighbors};
    control::Log log{config::Log{.level = config::LogLevel::error, .format = {}}};
    wireguard::Device device{{}};
    MemberTable members{kAuthority, key_of("berlin")};
    MemberEndpoints endpoints;
    PortTerms port_terms;
    MemberLinks links{underlay, members, endpoints, *this};
    LinkProber prober{{.dataplane = fake,
                       .underlay = underlay,
                       .members = members,
                       .port_terms = port_terms,
                       .links = links}};
    Channel channel{fake, members.node()};
    std::vector<LinkId> gone;  // links, as their user was told
};

}  // namespace meshgate::mesh::test
