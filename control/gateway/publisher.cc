// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/publisher.h"

#include <algorithm>
#include <utility>

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

// A burst of new neighbours makes one snapshot.
constexpr auto kPublishInterval = 5ms;
// All tables are built anew for one route that changed: neighbours that flap may cost a tenth of
// control's time, and workers see a single change at once.
constexpr auto kMinRoutesInterval = 20ms;
constexpr int kRestAfterRoutes = 9;  // times what a build took, before the next one begins

}  // namespace

void Publisher::set_listen_ports(std::vector<uint16_t> ports) {
    builder_.set_listen_ports(std::move(ports));
    stale_ = true;
}

void Publisher::set_ports(const std::vector<config::Port>& ports,
                          const std::vector<MacAddress>& macs) {
    builder_.set_ports(ports, macs);
    stale_ = true;
}

void Publisher::set_neighbors(const std::vector<NeighborTable::Neighbor>& neighbors) {
    builder_.set_neighbors(neighbors);
    stale_ = true;
}

void Publisher::set_routes(std::vector<RibRoute> routes) {
    if (builder_.set_routes(std::move(routes)))
        stale_ = true;
}

void Publisher::publish(Time now) {
    dataplane_.publish(builder_.build());
    published_ = now;
    stale_ = false;
}

void Publisher::take_learned(const std::function<std::vector<RibRoute>()>& learned, Time now) {
    const uint64_t begun_ns = clock_().mono_ns();
    set_routes(with_learned(builder_.routes(), learned()));
    const std::chrono::nanoseconds took{clock_().mono_ns() - begun_ns};
    learned_stale_ = false;
    learned_taken_ = now;
    learned_interval_ = std::max<Time::duration>(kMinRoutesInterval, took * kRestAfterRoutes);
}

void Publisher::settle(const std::function<std::vector<RibRoute>()>& learned, Time now) {
    if (learned_stale_ && now - learned_taken_ >= learned_interval_)
        take_learned(learned, now);
    if (stale_ && now - published_ >= kPublishInterval)
        publish(now);
}

Time Publisher::next_deadline() const noexcept {
    Time deadline = kNever;
    if (learned_stale_)
        deadline = std::min(deadline, learned_taken_ + learned_interval_);
    if (stale_)
        deadline = std::min(deadline, published_ + kPublishInterval);
    return deadline;
}

}  // namespace meshgate::control
