// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/port_watch.h"

#include <utility>

namespace meshgate::control {

PortWatch::PortWatch(const Dataplane& dataplane, Log& log, size_t nb_ports)
    : dataplane_{dataplane},
      log_{log},
      rebinds_(nb_ports),
      offload_repairs_(nb_ports),
      down_since_ns_(nb_ports) {
    for (size_t i = 0; i < nb_ports; ++i) {
        const PortStatus port = dataplane_.port_status(static_cast<PortId>(i));
        macs_.push_back(port.mac);
        mtus_bytes_.push_back(port.mtu_bytes);
    }
}

std::vector<PortId> PortWatch::watch(const std::vector<config::Port>& ports, const Now& now) {
    std::vector<PortId> changed;
    for (size_t i = 0; i < ports.size(); ++i) {
        if (watch(static_cast<PortId>(i), ports[i].name, now))
            changed.push_back(static_cast<PortId>(i));
    }
    return changed;
}

bool PortWatch::watch(PortId id, const std::string& name, const Now& now) {
    const PortStatus port = dataplane_.port_status(id);
    const auto log = [&](Log::Level level, const char* event, const std::string& text) {
        log_.write({level, event, name, text}, now.mono);
    };
    const MacAddress mac = std::exchange(macs_[id], port.mac);
    const uint16_t mtu_bytes = std::exchange(mtus_bytes_[id], port.mtu_bytes);
    bool changed = mac != port.mac || mtu_bytes != port.mtu_bytes;
    if (mtu_bytes != port.mtu_bytes)
        log(Log::Level::warning, "port-mtu",
            "the MTU is " + std::to_string(port.mtu_bytes) + " now, as that of its interface");
    if (std::exchange(rebinds_[id], port.rebinds) != port.rebinds)
        log(Log::Level::info, "port-bound", "stands on " + port.device + " from now on");
    if (std::exchange(offload_repairs_[id], port.offload_repairs) != port.offload_repairs)
        log(Log::Level::warning, "offloads-off",
            "somebody switched GRO or LRO of " + port.device + " on; it is off again");
    const bool up = port.link == LinkState::up;
    if (up != (down_since_ns_[id] == 0)) {
        changed = true;
        down_since_ns_[id] = up ? 0 : now.wall_ns;
        log(up ? Log::Level::info : Log::Level::warning, up ? "link-up" : "link-down",
            up                     ? "link is up"
            : port.problem.empty() ? "link is down"
                                   : "link is down: " + port.problem);
    }
    return changed;
}

}  // namespace meshgate::control
