// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// Two machines with one key take each other's session: each is authentic, so the peer's endpoint
// follows whichever was heard last (roaming, W26), and moves back and forth between the two. A peer
// that really roams hardly ever returns to where it was a moment ago, let alone several times.
class EndpointConflicts {
public:
    enum class Verdict : uint8_t {
        moved,     // as peers do
        begins,    // from this move on it is a conflict
        conflict,  // one more move of it
    };
    struct Conflict {
        PeerId peer = kNoPeer;
        Endpoint one, other;
    };

    // Hysteresis: a conflict is over when nothing returned for so long.
    explicit EndpointConflicts(Time::duration quiet) : quiet_{quiet} {}

    Verdict on_move(PeerId peer, const Endpoint& from, const Endpoint& to, Time now);
    void forget(PeerId peer);
    // Those that last, each until it has been quiet for a while: a status that came and went with
    // every move would help nobody.
    std::vector<Conflict> at(Time now);

private:
    struct Left {
        Endpoint endpoint;
        Time when{};
    };
    struct History {
        std::deque<Left> left;     // endpoints that the peer moved away from, latest last
        std::deque<Time> returns;  // moves to one of those
        Endpoint one, other;       // of the latest return
        bool conflict = false;
    };

    const Time::duration quiet_;
    std::map<PeerId, History> histories_;
    std::set<PeerId> conflicts_;  // those of histories_ that are one
};

}  // namespace meshgate::control
