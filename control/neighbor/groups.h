// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "control/neighbor/neighbors.h"
#include "control/packets/ethernet.h"

namespace meshgate::control {

// Tells switches that snoop, and multicast routers, to which IPv6 groups our ports listen: MLDv2
// (RFC 3810), and MLDv1 (RFC 2710) where the querier speaks that. Without it a snooping switch
// keeps neighbour solicitations from us. Bytes and time in, frames out.
//
// The box listens to no IPv4 group but 224.0.0.1, which is never reported (RFC 3376, section 6), so
// there is no IGMP.
class Groups {
public:
    struct Port {
        PortIdentity identity;
        IpAddress source;               // link-local
        std::vector<IpAddress> groups;  // without ff02::1, which is never reported
    };

    explicit Groups(uint32_t seed) : random_{seed} {}

    // Reports groups that are new, and those that were left.
    void set_ports(std::vector<Port> ports, Time now);
    // Whoever is at the other end now knows nothing of us.
    void link_up(PortId port, Time now);
    // A frame with a query; others are ignored.
    void receive(PortId port, std::span<const uint8_t> frame, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;
    std::vector<Neighbors::Outgoing> take_frames() { return std::exchange(frames_, {}); }

private:
    // What is said of a group in a report (RFC 3810, section 5.2.12).
    enum class Record : uint8_t { is_exclude = 2, to_include = 3, to_exclude = 4 };
    struct State {
        Time answer_due = kNever;         // to a query
        std::optional<Time> mldv1_until;  // an MLDv1 querier was heard
    };
    struct Repeat {
        PortId port;
        Record record;
        std::vector<IpAddress> groups;
    };

    void change(PortId port, Record record, const std::vector<IpAddress>& groups, Time now);
    void report(PortId port, Record record, std::span<const IpAddress> groups, Time now);
    void report_v1(PortId port, Record record, std::span<const IpAddress> groups);
    bool speaks_v1(PortId port, Time now) const;

    std::minstd_rand random_;  // delays only
    std::vector<Port> ports_;
    std::vector<State> states_;
    std::multimap<Time, Repeat> repeats_;
    std::vector<Neighbors::Outgoing> frames_;
};

// Solicited-node groups of `addresses` (RFC 4861, section 7.2.1), each once.
std::vector<IpAddress> solicited_node_groups(std::span<const IpAddress> addresses);

}  // namespace meshgate::control
