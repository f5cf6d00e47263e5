// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "control/api/state_provider.h"

namespace meshgate::control {

// A box with two peers, two ports and one worker, whose members a test may change.
struct FakeState final : StateProvider {
    FakeState();

    StatusView status() override {
        ++nb_status_calls;
        return status_view;
    }
    std::vector<PeerView> peers() override { return peer_views; }
    std::vector<RouteView> routes() override { return route_views; }
    std::vector<PortStatusView> ports() override { return port_views; }
    DropsView drops() override { return drops_view; }
    std::vector<WorkerView> workers() override { return worker_views; }
    std::optional<NetworkView> network() override { return network_view; }
    BabelView babel() override { return babel_view; }
    std::vector<LinkView> links() override { return link_views; }
    std::vector<MeshPathView> paths() override { return path_views; }
    std::vector<MemberView> members() override { return member_views; }
    std::vector<RelayView> relays() override { return relay_views; }
    // Knows the peers that a path leads to.
    std::optional<ExplainView> explain(const std::string& peer) override;
    NetworkPushReport push_network(const std::string& text, const std::string& signature,
                                   const Caller& caller) override {
        pushed_text = text;
        pushed_signature = signature;
        last_caller = caller;
        return push_report;
    }
    // Gives the box a LAN with a Babel router and a stock peer that speaks Babel.
    void speak_babel();
    // Makes the box a member of a network of three.
    void join_network();

    ReloadReport reload(const Caller& caller) override {
        ++nb_reloads;
        last_caller = caller;
        return reload_report;
    }

    StatusView status_view;
    std::vector<PeerView> peer_views;
    std::vector<RouteView> route_views;
    std::vector<PortStatusView> port_views;
    DropsView drops_view;
    std::vector<WorkerView> worker_views;
    std::optional<NetworkView> network_view;
    BabelView babel_view;
    std::vector<LinkView> link_views;
    std::vector<MeshPathView> path_views;
    std::vector<MemberView> member_views;
    std::vector<RelayView> relay_views;
    ExplainView explain_view;  // but for the peer, its path and links
    NetworkPushReport push_report;
    std::string pushed_text, pushed_signature;
    ReloadReport reload_report;
    int nb_reloads = 0;
    int nb_status_calls = 0;
    Caller last_caller;
};

PublicKey test_key(uint8_t fill);

}  // namespace meshgate::control
