// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
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

    // Reads the box file again and applies it, whole or not at all. Logs who asked.
    virtual ReloadReport reload(const Caller& caller) = 0;
};

}  // namespace meshgate::control
