// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/token_bucket.h"
#include "control/babel/authentication.h"
#include "control/babel/link_quality.h"
#include "control/babel/speaker.h"

namespace meshgate::babel {

struct Interface;

// From one interface: ten times what a hub sends to another when everything changes.
constexpr double kPacketsPerSecond = 1000;

constexpr double kLossSlack = 32;  // hysteresis of the loss part of a cost

// RFC 8966 section 3.2.4.
struct Neighbor {
    NeighborId id;
    Interface* interface = nullptr;
    std::array<HelloHistory, 2> hellos;  // by HelloKind
    bool receiving = false;              // its Hellos arrive
    RttHistory rtt;
    Steady loss_penalty{kLossSlack};
    Steady delay_penalty{16};
    uint16_t txcost = kInfinity;
    Time ihu_expires{};
    uint16_t told_rxcost = kInfinity;  // in the last IHU
    uint16_t cost = kInfinity;
    // Of its last Hello with a timestamp, for our IHU.
    std::optional<Ihu::Timestamps> timestamps;
    Time last_heard{};
    // Two Hellos are missing: asked to acknowledge, again and again, before we believe it is gone.
    Time suspected_at = kNever;
    Time next_probe = kNever;
    // Links beside it have failed: asked in the same way, whenever its next Hello is due.
    Time doubted_at = kNever;
    Time doubted_until = kNever;
    Time next_dump_allowed{};
    std::vector<Tlv> unicast;          // waits to be sent
    std::set<Prefix> prefixes;         // that it has announced
    std::map<Prefix, Time> interests;  // single routes that a leaf wants, until when

    // The kind of Hello that tells more.
    const HelloHistory& hello() const noexcept {
        const HelloHistory& multicast = hellos[0];
        const HelloHistory& unicast_hello = hellos[1];
        if (!unicast_hello.scheduled())
            return multicast;
        if (!multicast.scheduled())
            return unicast_hello;
        return multicast.missed_in_row() <= unicast_hello.missed_in_row() ? multicast
                                                                          : unicast_hello;
    }
};

// A packet with updates that neighbours have to acknowledge.
struct Unacknowledged {
    uint16_t nonce = 0;
    unsigned nb_tries = 0;
    Time deadline{};
    std::set<IpAddress> waiting;
    std::vector<Prefix> prefixes;
    std::vector<Prefix> retracted;
};

struct PendingUpdate {
    bool acknowledged = false;
    bool triggered = false;  // a retraction is sent when there is nothing else to say
    unsigned nb_tries = 0;
};

// RFC 8966 section 3.2.3.
struct Interface {
    InterfaceId id = 0;
    InterfaceOptions options;
    Authentication authentication;
    std::map<IpAddress, Neighbor> neighbors;
    uint16_t hello_seqno = 0;
    Time next_hello{};
    Time next_dump{};
    Time dump_started{};
    bool dump_in_haste = false;    // somebody asked for it
    std::optional<Prefix> cursor;  // of a dump under way
    std::map<Prefix, PendingUpdate> pending;
    std::vector<Tlv> multicast;                              // waits to be sent
    TokenBucket rate{kPacketsPerSecond, kPacketsPerSecond};  // of what is received
    Time flush_at = kNever;
    std::vector<Unacknowledged> unacknowledged;
    uint16_t last_nonce = 0;
    Time scheduled = kNever;  // its key in the schedule

    Neighbor* find(const IpAddress& address) {
        const auto found = neighbors.find(address);
        return found == neighbors.end() ? nullptr : &found->second;
    }
};

// RFC 8966 section 3.2.6.
struct Route {
    Neighbor* via = nullptr;
    IpAddress next_hop;
    RouterId router_id{};
    uint16_t seqno = 0;
    uint16_t advertised = kInfinity;
    Time expires = kNever;
    double smoothed = 0;  // the metric, as it was at smoothed_at
    Time smoothed_at{};

    uint16_t metric() const noexcept {
        return advertised == kInfinity || via->cost == kInfinity ? kInfinity
                                                                 : add_cost(advertised, via->cost);
    }
};

// Everything about one prefix that neighbours have announced.
struct Destination {
    std::vector<Route> routes;
    const Neighbor* selected = nullptr;
    // What we last said of it.
    RouterId router_id{};
    uint16_t seqno = 0;
    uint16_t told_metric = kInfinity;
    // Unreachable, and kept so until all have heard of it (section 3.5.4).
    struct Hold {
        Time until;
        std::set<NeighborId> waiting;
    };
    std::optional<Hold> hold;
    RouteChange published;
    bool undecided = false;  // a better route has yet to prove itself: time alone may decide

    Route* find(const Neighbor* via) {
        for (Route& route : routes) {
            if (via != nullptr && route.via == via)
                return &route;
        }
        return nullptr;
    }
    const Route* find(const Neighbor* via) const {
        return const_cast<Destination*>(this)->find(via);
    }
};

}  // namespace meshgate::babel
