// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"

namespace meshgate::control {

// How large a packet gets through one path (PLPMTUD, RFC 8899, in small). What is too large for a
// link that is not ours is lost there, and nobody need tell us: so sizes are tried end to end,
// inside the session, and users are told what fits as they are about any other MTU. Sizes are those
// of inner packets.
//
//   a search: up to three rounds; it ends with the first in which the size in force is answered
//   a round: the largest and the least size while nothing speaks against it, else all at once
//
// A round without any answer ends the search, and says nothing of sizes: the path is down, or does
// not answer probes.
class PathMtuSearch {
public:
    static constexpr uint16_t kNoCeiling = UINT16_MAX;  // our link's own MTU

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

    // Now and then, while the path is used. `link_mtu_bytes`: what our own link takes. `ceiling`: no
    // more is tried. `last_id`: ids count on from it.
    Step poll(uint16_t link_mtu_bytes, uint16_t ceiling, uint32_t& last_id, Time now);
    // False: the id is none of this search.
    bool on_reply(uint32_t id);
    // A new search is due, from what the last one found.
    void restart();
    // kNoCeiling: nothing is known to be narrower than our link.
    uint16_t in_force() const noexcept { return mtu_bytes_; }

private:
    void try_size(uint16_t mtu_bytes, uint32_t& last_id, Step& step);
    void begin_again(Time next);
    Result conclude(uint16_t most, uint16_t ceiling, Time now);

    uint16_t mtu_bytes_ = kNoCeiling;  // in force
    uint16_t best_ = 0;                // largest that was answered in this search
    unsigned nb_rounds_ = 0;
    unsigned nb_silent_ = 0;             // searches in a row that nothing answered
    std::map<uint32_t, uint16_t> sent_;  // size by id
    Time next_{};
};

}  // namespace meshgate::control
