// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "control/mesh/members/next_hop.h"

namespace meshgate::mesh {

// How large a packet gets through a path (PLPMTUD, RFC 8899, in small). What is too large for a
// link that is not ours is lost there, and nobody tells us: so sizes are tried end to end, inside
// the session, and users are told what fits as they are about any other MTU. Sizes are those of
// inner packets.
//
//   a search: up to three rounds; it ends with the first in which the size in force is answered
//   a round: the largest size alone while nothing speaks against it, else all sizes at once
class PathMtuProbe {
public:
    // The largest size that is tried on a path over relays: what any link takes that is no narrower
    // than Ethernet, relays that change from IPv4 to IPv6 included.
    static constexpr uint16_t kRelayedCeiling = 1420;
    static constexpr uint16_t kNoCeiling = UINT16_MAX;  // direct: our link's own MTU

    struct Probe {
        uint32_t id = 0;
        uint16_t mtu_bytes = 0;  // size of the inner packet to send
    };
    struct Result {
        uint16_t fits = 0;      // gets through
        uint16_t in_force = 0;  // for users; the ceiling when nothing on the way is narrower
        bool changed = false;
    };
    struct Step {
        std::vector<Probe> probes;     // to be sent by the path now
        std::optional<Result> result;  // a search has ended
    };

    // Now and then, while the path is used. `link_mtu_bytes`: what our own link takes. `answers`:
    // small probes get through, else a silence would say nothing of sizes.
    Step poll(const PathKey& path, uint16_t link_mtu_bytes, bool answers, Time now);
    void on_reply(const IpAddress& target, uint32_t id);
    void forget(const PathKey& path) { paths_.erase(path); }
    void forget_target(const IpAddress& target);

private:
    struct Path {
        uint16_t mtu_bytes = kNoCeiling;  // in force
        uint16_t best = 0;                // largest that was answered in this search
        unsigned nb_rounds = 0;
        std::map<uint32_t, uint16_t> sent;  // size by id
        Time next{};
    };

    void try_size(Path& path, uint16_t mtu_bytes, Step& step);
    static Result conclude(Path& path, uint16_t most, uint16_t ceiling, Time now);

    std::map<PathKey, Path> paths_;
    uint32_t last_id_ = 0;
};

}  // namespace meshgate::mesh
