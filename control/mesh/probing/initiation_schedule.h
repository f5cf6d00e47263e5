// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "base/address.h"
#include "base/time.h"

namespace meshgate::mesh {

// When to start handshakes that no packet asked for: with members that we keep a session with
// whatever the traffic.
class InitiationSchedule {
public:
    enum class Peer : uint8_t {
        relay,  // tried until it answers; without relays in the network, everybody
        leaf,   // once, when we start or learn of it: then it need not find out that we were gone
    };

    // Begins a round over all members: so many handshakes at once, and no more.
    void begin_round() noexcept { nb_started_ = 0; }
    // True: start one now. For a member without a session that has links.
    bool poll(const IpAddress& member, Peer kind, Time now);
    void forget(const IpAddress& member) { members_.erase(member); }

private:
    struct Member {
        Time next{};
        bool tried = false;
    };

    std::map<IpAddress, Member> members_;
    unsigned nb_started_ = 0;
};

}  // namespace meshgate::mesh
