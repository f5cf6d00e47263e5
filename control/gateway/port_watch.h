// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "config/model.h"
#include "control/log/log.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// Our ports as they are just now, all by PortId: MAC addresses, MTUs, carrier. Says what changed
// since the last look, and logs it.
class PortWatch {
public:
    // Both outlive this.
    PortWatch(const Dataplane& dataplane, Log& log, size_t nb_ports);

    // Looks; returns the ports of which something else is true than before. `ports`: of the model,
    // for their names.
    std::vector<PortId> watch(const std::vector<config::Port>& ports, const Now& now);

    const std::vector<MacAddress>& macs() const noexcept { return macs_; }
    uint16_t mtu_bytes(PortId port) const { return mtus_bytes_[port]; }
    bool is_up(PortId port) const { return down_since_ns_[port] == 0; }
    // 0 while the link is up, else since when it is down, on the wall clock.
    const std::vector<uint64_t>& down_since_ns() const noexcept { return down_since_ns_; }

private:
    bool watch(PortId id, const std::string& name, const Now& now);

    const Dataplane& dataplane_;
    Log& log_;
    std::vector<MacAddress> macs_;
    std::vector<uint16_t> mtus_bytes_;
    std::vector<uint64_t> rebinds_, offload_repairs_;
    std::vector<uint64_t> down_since_ns_;
};

}  // namespace meshgate::control
