// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>

#include "base/time.h"
#include "control/babel/speaker.h"
#include "control/mesh/probing/member_links.h"

namespace meshgate::mesh {

// Hello intervals. A link that users' packets take: three misses are the most that an outage lasts.
constexpr Time::duration kIntervalInUse = std::chrono::milliseconds{200};
// A link that only the other end uses: its probes are what the other end watches. Not the same
// interval, or two ends would keep each other awake.
constexpr Time::duration kIntervalForThem = std::chrono::milliseconds{210};
// A standby link.
constexpr Time::duration kIntervalIdle = std::chrono::seconds{2};
// Where nobody answers.
constexpr Time::duration kIntervalSilent = std::chrono::seconds{10};

// How often each link is probed: by who uses it, and whether anybody answers.
class ProbeSchedule {
public:
    enum class Patience : uint8_t {
        usual,
        eager,  // between boxes that always keep a session: they look for each other for longer
    };

    // ---- what is seen, once in a round ----
    void begin_round();
    // Users' packets of a member leave by it.
    void on_path(LinkId link) { used_.insert(link); }
    // Datagrams of others that were forwarded by it until now.
    void on_relayed(LinkId link, uint64_t nb_packets, Time now);
    // How often the other end probes it.
    void on_their_interval(LinkId link, Time::duration interval);

    // ---- freshness: it is probed as if it were in use, as there may be no other ----
    void on_probed(LinkId link, Time now);
    // Heard again after a silence: it has to prove itself, and fast.
    void on_heard_again(LinkId link, Time now);
    // It works again: longer, as what it lost before has to be outweighed.
    void on_up(LinkId link, Time now);

    Time::duration interval_of(LinkId link, Time::duration silence, Patience patience,
                               Time now) const;
    void forget(LinkId link);

private:
    struct Relayed {
        uint64_t nb_packets = 0;
        std::optional<Time> last;
    };

    std::set<LinkId> used_;
    std::set<LinkId> used_by_them_;
    std::map<LinkId, Relayed> relayed_;
    std::map<LinkId, Time> fresh_until_;
};

}  // namespace meshgate::mesh
