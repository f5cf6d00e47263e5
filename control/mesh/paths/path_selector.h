// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>

#include "base/address.h"
#include "base/time.h"
#include "control/mesh/probing/routes.h"

namespace meshgate::mesh {

// Which way is the best, direct and relayed alike: the one that the speaker selected, else the
// cheapest. Relays that are held down are avoided, but better than nothing.
std::optional<PathChoice> best_path(const Routes& routes, const std::set<IpAddress>& held_down);

// What the choice depends on, of one member.
struct PathInputs {
    IpAddress target;
    Routes routes;
    std::set<IpAddress> held_down;  // relays that forwarded nothing to it
    // A handshake message came by this link: good enough until there are routes.
    std::optional<LinkId> handshake_link;
    // Where the relay entry of the index that we send under leads; nothing: no relay has it.
    std::optional<NextHop> agreed;
    std::optional<PathChoice> in_force;
    std::optional<Time> failing_since;
    Time now{};
};

struct PathDecision {
    enum class Kind : uint8_t {
        keep,     // the path in force is the best; `path` has its present metric
        change,   // to `path`
        wait,     // nothing changes: no path yet, or a relay has not agreed to the better one yet
        failing,  // the path in force does not work, and there is no other; it stays for now
        give_up,  // that for too long: packets are refused instead of lost
    };
    Kind kind = Kind::wait;
    PathChoice path;

    bool operator==(const PathDecision&) const = default;
};

// Pure. A relayed path is taken only once the relay has entered the index that we send under: until
// then the old path stays.
PathDecision select_path(const PathInputs& inputs);

}  // namespace meshgate::mesh
