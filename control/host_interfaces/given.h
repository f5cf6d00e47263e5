// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "config/model.h"
#include "control/host_interfaces/rtnetlink.h"

namespace meshgate::control {

// What a port with `addresses: host` uses of what the kernel has on its twin.
struct Given {
    std::vector<Prefix> addresses;      // temporary ones behind the others, then deprecated ones
    std::vector<IpAddress> deprecated;  // of these
    std::optional<IpAddress> gateway_v4, gateway_v6;
    uint16_t mtu_bytes = 0;             // 0: as the port's
    std::vector<std::string> problems;  // why it is less than the kernel has
    bool operator==(const Given&) const = default;
};

// What the kernel has on a twin.
struct OnTwin {
    HostLink link;
    std::span<const HostAddress> addresses;  // those of other interfaces are left out
    std::span<const HostRoute> routes;
};

// Networks that no address of the port may be in.
struct Taken {
    std::vector<Prefix> of_ports;      // other ports of the box
    std::span<const Prefix> of_peers;  // sorted
    bool by_more_specific = false;     // as on a lan port: its network may be a part of a peer's
};

Given read_given(const OnTwin& twin, const Taken& taken);
// `port` with that.
void fill_in(config::Port& port, const Given& given);

}  // namespace meshgate::control
