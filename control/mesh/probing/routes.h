// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "control/mesh/members/next_hop.h"

namespace meshgate::mesh {

// A route as the speaker has it, with the member at the other end of its link.
struct Route {
    NextHop via;
    uint16_t metric = 0;  // babel::kInfinity: retracted
    bool feasible = false;
    bool selected = false;  // by the speaker, with hysteresis
};

// Routes to one member: its own node address, else the aggregate that relays announce.
struct Routes {
    std::vector<Route> to_node;
    std::vector<Route> to_aggregate;
};

}  // namespace meshgate::mesh
