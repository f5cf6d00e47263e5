// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>

#include "base/address.h"
#include "base/time.h"
#include "control/mesh/members/next_hop.h"
#include "control/underlay/path_mtu_search.h"

namespace meshgate::mesh {

using control::PathMtuSearch;

// How large a packet gets through the paths to members: over relays, whose further links are not
// ours, and direct ones, where a router on the way may lose what is too large without a word. What
// was found of a path is remembered while another one is in force.
class PathMtuProbe {
public:
    // The largest size that is tried on a path over relays: what any link takes that is no narrower
    // than Ethernet, relays that change from IPv4 to IPv6 included.
    static constexpr uint16_t kRelayedCeiling = 1420;

    // The path is in force from now on: sizes are tried anew. Returns what users are told until
    // then, kNoCeiling for no limit.
    uint16_t begin(const PathKey& path);
    // Now and then, while the path is used. `link_mtu_bytes`: what our own link takes.
    PathMtuSearch::Step poll(const PathKey& path, uint16_t link_mtu_bytes, Time now);
    void on_reply(const IpAddress& target, uint32_t id);
    void forget_target(const IpAddress& target);
    void forget_link(LinkId link);
    // Whether what is in force was measured: over relays nothing else is known.
    bool is_measured(const PathKey& path) const;

private:
    static uint16_t ceiling_of(const PathKey& path) noexcept {
        return path.is_direct() ? PathMtuSearch::kNoCeiling : kRelayedCeiling;
    }

    std::map<PathKey, PathMtuSearch> paths_;
    uint32_t last_id_ = 0;
};

}  // namespace meshgate::mesh
