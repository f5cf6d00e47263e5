// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/api/views.h"

namespace meshgate::control {

// Who asks over a local socket, from the kernel (SO_PEERCRED); for the log.
struct Caller {
    int64_t pid = 0;
    int64_t uid = -1;
};

// What the gateway tells its sockets. Control thread only; answers at once and never waits.
class StateProvider {
public:
    virtual ~StateProvider() = default;

    virtual StatusView status() = 0;
    virtual std::vector<PeerView> peers() = 0;  // in the order of the box file
    virtual std::vector<RouteView> routes() = 0;
    virtual std::vector<PortStatusView> ports() = 0;
    virtual DropsView drops() = 0;
    virtual std::vector<WorkerView> workers() = 0;

    // Routers of other makes; a box without entries of `babel` has no places.
    virtual BabelView babel() { return {}; }

    // The mesh; a box without a network has nothing of it.
    virtual std::optional<NetworkView> network() { return std::nullopt; }
    virtual std::vector<LinkView> links() { return {}; }
    virtual std::vector<MeshPathView> paths() { return {}; }  // in the order of the network file
    virtual std::vector<MemberView> members() { return {}; }  // likewise
    virtual std::vector<RelayView> relays() { return {}; }
    // Empty: there is no such peer.
    virtual std::optional<ExplainView> explain(const std::string& /*peer*/) { return std::nullopt; }
    // A network file from the administrator: `text` is what was signed, `signature` its 64 bytes.
    // Both may be anything.
    virtual NetworkPushReport push_network(const std::string& /*text*/,
                                           const std::string& /*signature*/,
                                           const Caller& /*caller*/) {
        return {.accepted = false, .version = 0, .errors = {"this box is in no network"}};
    }

    // Reads the box file again and applies it, whole or not at all. Logs who asked.
    virtual ReloadReport reload(const Caller& caller) = 0;
};

}  // namespace meshgate::control
