// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "base/address.h"
#include "base/time.h"
#include "control/log/log.h"
#include "control/underlay/links.h"
#include "control/underlay/path_mtu_search.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// How large a packet gets through to stock WireGuard peers. They know no probes of ours, but answer
// an echo request to their address inside, as every host does. So while users' packets go there
// whose size matters, echo requests of each size are sent by the peer's session, in datagrams that may not be cut: their
// loss harms nobody, and routers that do speak say what fits. A peer that answers none is asked ever
// less often, and what it is sent may be cut on the way (OuterFragments).
class EchoProber {
public:
    struct Parts {  // all outlive this
        Dataplane& dataplane;
        const Links& links;
        Log& log;
        std::function<std::string(PeerId)> name_of;  // for the log
    };
    explicit EchoProber(Parts parts) : parts_{std::move(parts)} {}

    // All stock peers that may be asked, with an address of each.
    void set_targets(const std::map<PeerId, IpAddress>& targets);
    // Every 50 ms while there are sessions; looks at a bounded number of peers per call.
    void tick(Time now);
    // An ICMP packet of the peer's, for an address of ours. False: it is no reply to a probe.
    bool receive(PeerId peer, std::span<uint8_t> ip);

private:
    struct Target {
        IpAddress address;
        uint64_t nb_sized = 0;  // packets that have been seen, and probes among them
        uint64_t nb_probes = 0;
        std::optional<Time> used;
        Endpoint remote;  // and port: of the path that was searched
        PortId port = kNoPort;
        PathMtuSearch search;
        uint64_t heard_tsc = 0;  // as the last round of probes was sent
    };

    bool is_in_use(PeerId peer, Target& target, Time now);
    void look_around(Time now);
    void probe(PeerId peer, Target& target, Time now);
    void send(PeerId peer, Target& target, const PathMtuSearch::Probe& probe);

    Parts parts_;
    uint32_t last_id_ = 0;
    std::map<PeerId, Target> targets_;
    std::set<PeerId> in_use_;
    PeerId next_looked_at_ = 0;
};

}  // namespace meshgate::control
