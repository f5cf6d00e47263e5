// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/address.h"
#include "base/time.h"

namespace meshgate::mesh {

// Ids of path MTU probes have this bit and those of path probes never: replies are told apart.
constexpr uint32_t kPathMtuProbeBit = uint32_t{1} << 31;

// End-to-end probes of paths over relays: nothing else would show that a relay forwards nothing.
// Our links are probed by Babel.
class PathProbe {
public:
    struct Step {
        uint32_t id = 0;  // of the probe to send now
        // The one before was not answered: the relay may have forgotten us, as when it restarts.
        bool unanswered = false;
        // Several in a row were not: the path does not work.
        bool path_is_silent = false;
    };

    // While the path is in use and goes over a relay. Nothing: not yet.
    std::optional<Step> poll(const IpAddress& target, Time now);
    // The path is direct or idle; the next poll() starts anew.
    void stop(const IpAddress& target);
    // Another path is in force.
    void on_path_changed(const IpAddress& target);
    void on_reply(const IpAddress& target, uint32_t id, Time now);
    void forget(const IpAddress& target) { targets_.erase(target); }

    std::optional<double> rtt_ms(const IpAddress& target) const;

private:
    struct Target {
        uint32_t id = 0;
        unsigned nb_unanswered = 0;
        std::optional<Time> sent;
        std::optional<Time> next;
        std::optional<double> rtt_ms;
    };

    std::map<IpAddress, Target> targets_;
};

}  // namespace meshgate::mesh
