// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <utility>
#include <vector>

#include "control/mesh/clients/client_roaming.h"
#include "control/mesh/members/file_exchange.h"
#include "control/mesh/members/route_lookup.h"

namespace meshgate::mesh {

// What a box tells the members that it has a working link to, and hears from them: the network
// file, and where clients are.
class NeighborExchange {
public:
    NeighborExchange(const IpAddress& self, const RouteLookup& routes) : roaming_{self, routes} {}

    // Members with a link that is up.
    void set_neighbors(std::set<IpAddress> neighbors, Time now);
    template <typename M>
    void receive(const IpAddress& from, const M& message, Time now) {
        files_.receive(from, message, now);
    }
    void receive(const IpAddress& from, const State& state, Time now) {
        add(from, now);
        files_.receive(from, state, now);
    }
    void receive(const IpAddress& from, const ClientAt& client, Time now) {
        add(from, now);
        roaming_.receive(from, client, now);
    }
    void tick(Time now);
    Time next_deadline() const noexcept;
    std::vector<Outgoing> take_messages(Time now);

    FileExchange& files() noexcept { return files_; }
    const FileExchange& files() const noexcept { return files_; }
    ClientRoaming& roaming() noexcept { return roaming_; }
    const ClientRoaming& roaming() const noexcept { return roaming_; }

private:
    void add(const IpAddress& node, Time now);

    FileExchange files_;
    ClientRoaming roaming_;
    std::set<IpAddress> neighbors_;
};

}  // namespace meshgate::mesh
