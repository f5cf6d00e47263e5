// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>

#include "base/address.h"
#include "base/time.h"

namespace meshgate::mesh {

// Relays that do not forward to a member although Babel has a route over them: the pair is held
// down, each time twice as long as the time before (exponential backoff). Other members are still
// reached over the relay.
class Suspicion {
public:
    // True: the relay was not held down for this target before.
    bool on_silence(const IpAddress& target, const IpAddress& relay, Time now);
    bool on_refusal(const IpAddress& target, const IpAddress& relay, Time now);
    // The relay has restarted: what it did before says nothing.
    void forget_relay(const IpAddress& relay);
    void forget_target(const IpAddress& target) { by_target_.erase(target); }
    // True: a hold-down has ended, paths are to be chosen again.
    bool tick(Time now);

    std::set<IpAddress> held_down(const IpAddress& target) const;
    bool is_held_down(const IpAddress& target, const IpAddress& relay) const;

private:
    struct Entry {
        Time until{};
        unsigned nb_silences = 0;
        bool held_down = false;
    };

    bool hold_down(Entry& entry, Time until);

    std::map<IpAddress, std::map<IpAddress, Entry>> by_target_;  // then by relay
};

}  // namespace meshgate::mesh
