// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <random>
#include <span>
#include <vector>

#include "base/token_bucket.h"
#include "base/waiting_room.h"
#include "control/log/log.h"
#include "control/neighbor/groups.h"
#include "control/neighbor/neighbors.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// Connects the neighbour table and the multicast groups with the packet path: hands them frames and
// sends theirs, and keeps the packets that wait for a LAN neighbour until it answers or is given
// up.
class NextHops {
public:
    // `budget` bounds packets that wait, here and elsewhere; all three outlive this.
    NextHops(Dataplane& dataplane, WaitingBudget& budget, Log& log);

    Neighbors& table() noexcept { return table_; }
    const Neighbors& table() const noexcept { return table_; }

    void set_ports(std::vector<Neighbors::Port> ports, std::vector<Groups::Port> groups, Time now);
    void link_up(PortId port, Time now);
    // ARP, neighbour discovery, or a query for groups.
    void receive(PortId port, std::span<const uint8_t> frame, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept {
        return std::min(table_.next_deadline(), groups_.next_deadline());
    }

    // A packet that a worker could not address. Leaves at once if the answer came meanwhile.
    void hold(Packet packet, Time now);

    // Sends what the table wants to ask and say, lets packets go whose neighbour is known, and
    // returns what happened, for the underlay. Call after everything that touches the table.
    std::vector<Neighbors::Event> settle(Time now);
    // True once after the resolved neighbours changed: the snapshot is to be made anew.
    bool take_changed() noexcept { return std::exchange(changed_, false); }

    // Tells the sender of `packet` that its destination does not answer; rate-limited.
    void refuse(const Packet& packet, Time now);

private:
    struct Key {
        PortId port;
        IpAddress address;
        auto operator<=>(const Key&) const = default;
    };

    void send_frame(const Neighbors::Outgoing& outgoing);
    void release(Packet packet, PortId port, const MacAddress& mac);
    void drop(const Packet& packet, Drop reason, Time now);
    void log_event(const Neighbors::Event& event, Time now);

    Dataplane& dataplane_;
    Log& log_;
    Neighbors table_;
    Groups groups_{std::random_device{}()};
    WaitingRoom<Key, Packet> waiting_;
    TokenBucket errors_{100, 100};
    bool changed_ = false;
};

}  // namespace meshgate::control
