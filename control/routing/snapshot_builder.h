// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "config/model.h"
#include "control/routing/rib.h"
#include "dataplane/api/snapshot.h"

namespace meshgate::control {

// Routes by where they lead, without what is built in.
using RouteCounts = std::array<size_t, static_cast<size_t>(ForwardKind::broadcast) + 1>;

// Puts snapshots together. Each part is built when it changes and shared by all snapshots until it
// changes again: a new neighbour does not rebuild a million routes.
class SnapshotBuilder {
public:
    SnapshotBuilder();

    // True when they differ from the present ones.
    bool set_routes(std::vector<RibRoute> routes);
    // `macs`: of the ports, in the same order.
    void set_ports(std::span<const config::Port> ports, std::span<const MacAddress> macs);
    void set_neighbors(std::span<const NeighborTable::Neighbor> neighbors);
    void set_listen_ports(std::vector<uint16_t> listen_ports);

    const std::vector<RibRoute>& routes() const noexcept { return routes_; }
    // Of the routes, so far.
    uint64_t nb_changes() const noexcept { return nb_changes_; }
    const RouteCounts& nb_routes() const noexcept { return nb_routes_; }
    std::shared_ptr<const Snapshot> build() const;

private:
    std::vector<RibRoute> routes_;
    RouteCounts nb_routes_{};
    uint64_t nb_changes_ = 0;
    Snapshot parts_;
};

// The addresses of a port, the IPv6 link-local one included when it speaks IPv6 at all, as Babel
// does.
std::vector<IpAddress> own_addresses(const config::Port& port, const MacAddress& mac);
// As the dataplane sees it.
PortRole role_of(const config::Port& port) noexcept;
// What the port's frames are tagged with; kNoVlan: nothing.
uint16_t tag_of(const config::Port& port) noexcept;
std::vector<Prefix> connected_networks(const config::Port& port);

}  // namespace meshgate::control
