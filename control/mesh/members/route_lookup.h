// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "control/mesh/members/next_hop.h"

namespace meshgate::mesh {

// The best way to a member, in force or not. Nothing: it is unreachable.
class RouteLookup {
public:
    virtual ~RouteLookup() = default;
    virtual std::optional<NextHop> next_hop_to(const IpAddress& target) const = 0;
};

}  // namespace meshgate::mesh
