// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "base/time.h"
#include "control/routing/snapshot_builder.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// The snapshot that workers read, and when it is made anew: at once when somebody says so, else
// several changes together.
class Publisher {
public:
    Publisher(Dataplane& dataplane, Clock clock)
        : dataplane_{dataplane}, clock_{std::move(clock)} {}

    // ---- what goes in; it is in force after the next publication ----
    void set_listen_ports(std::vector<uint16_t> ports);
    void set_ports(const std::vector<config::Port>& ports, const std::vector<MacAddress>& macs);
    void set_neighbors(const std::vector<NeighborTable::Neighbor>& neighbors);
    void set_routes(std::vector<RibRoute> routes);
    // Neighbouring routers announce something else: fetched by settle(), in time.
    void on_learned_changed() noexcept { learned_stale_ = true; }

    void publish(Time now);
    // Publishes what is due. `learned`: routes that neighbouring routers announce now.
    void settle(const std::function<std::vector<RibRoute>()>& learned, Time now);
    Time next_deadline() const noexcept;

    const SnapshotBuilder& builder() const noexcept { return builder_; }

private:
    void take_learned(const std::function<std::vector<RibRoute>()>& learned, Time now);

    Dataplane& dataplane_;
    Clock clock_;
    SnapshotBuilder builder_;
    bool stale_ = false;
    Time published_{};
    bool learned_stale_ = false;
    Time learned_taken_{};
    Time::duration learned_interval_{};  // the longer, the more they cost
};

}  // namespace meshgate::control
