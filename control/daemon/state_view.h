// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "control/api/state_provider.h"
#include "control/daemon/instance_mark.h"
#include "control/daemon/reload.h"
#include "control/daemon/vm_generation.h"
#include "control/gateway/gateway.h"
#include "control/host_interfaces/host_interfaces.h"

namespace meshgate::control {

// How copies of this box are noticed, and whether it is one.
struct Copies {
    VmGeneration::Support generation = VmGeneration::Support::no_device;
    Copied folder = Copied::no;
};

// Answers the sockets from the gateway's present state.
class StateView : public StateProvider {
public:
    // All outlive this.
    StateView(Gateway& gateway, Reload& reload, const HostInterfaces& host, Copies copies = {});

    StatusView status() override;
    std::vector<PeerView> peers() override;
    std::vector<RouteView> routes() override;
    std::vector<PortStatusView> ports() override;
    DropsView drops() override;
    std::vector<WorkerView> workers() override;
    ReloadReport reload(const Caller& caller) override { return reload_.run(caller); }

    BabelView babel() override;
    std::optional<NetworkView> network() override;
    std::vector<LinkView> links() override;
    std::vector<MeshPathView> paths() override;
    std::vector<MemberView> members() override;
    std::vector<RelayView> relays() override;
    std::optional<ExplainView> explain(const std::string& peer) override;
    NetworkPushReport push_network(const std::string& text, const std::string& signature,
                                   const Caller& caller) override;

    // Remembers what the workers did; call about every second.
    void sample_workers();
    // Each turned, or slept, since the sample before.
    bool workers_alive() const noexcept { return workers_alive_; }

private:
    struct Load {
        uint64_t busy_cycles = 0;
        uint64_t tsc = 0;
        uint64_t turns = 0;
        double ratio = 0;
    };

    Readiness readiness() const;
    PeerView view_of(const config::Peer& peer) const;
    void add_mesh_path(PeerView& view, PeerId peer) const;
    std::vector<std::string> problems() const;
    void add_copy_problems(std::vector<std::string>& result) const;
    void add_port_problems(std::vector<std::string>& result) const;

    Gateway& gateway_;
    Reload& reload_;
    const HostInterfaces& host_;
    Copies copies_;
    uint64_t started_ns_;
    std::vector<Load> loads_;
    bool workers_alive_ = true;
};

}  // namespace meshgate::control
