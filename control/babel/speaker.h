// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "control/babel/authentication.h"
#include "control/babel/link_quality.h"
#include "control/babel/tlv.h"

namespace meshgate::babel {

// Chosen by the owner: a link to a mesh peer, or a LAN port.
using InterfaceId = uint32_t;

struct NeighborId {
    InterfaceId interface = 0;
    IpAddress address;  // link-local

    auto operator<=>(const NeighborId&) const = default;
};

// What we announce on an interface besides prefixes of our own that belong everywhere. A box that
// says own_only on every tunnel is a stub: no route through it can be learnt by anybody.
enum class Announce : uint8_t {
    own_only,    // a leaf's tunnels
    aggregates,  // a hub to a leaf: aggregates, and single routes that the leaf has asked for
    everything,  // between hubs, and to site routers: all that is selected
};

// Where a prefix of ours is announced.
enum class Scope : uint8_t {
    everywhere,
    aggregate,  // where interfaces say aggregates, in place of the routes that it covers
};

struct InterfaceOptions {
    IpAddress address;              // ours, link-local
    std::optional<IpAddress> ipv4;  // our IPv4 next hop; without it IPv4 goes via IPv6 (RFC 9229)
    // A point-to-point link: its other end. Hellos are unicast then, and nobody else is heard.
    // Without it, Hellos and updates go to the multicast group.
    std::optional<IpAddress> peer;
    Announce announce = Announce::everything;
    Duration hello_interval = std::chrono::seconds{4};
    Duration update_interval = std::chrono::seconds{16};
    CostOptions cost;
    bool timestamps = true;     // RFC 9616
    bool split_horizon = true;  // off on radio, where not all hear all
    // Ask for acknowledgement of periodic updates too, so that long intervals survive loss. Urgent
    // updates are acknowledged anyway.
    bool acknowledged_updates = false;
    size_t max_packet_len = 1232;
    size_t max_routes = 65536;  // of one neighbour; more are refused, with an alarm
    size_t max_neighbors = 64;

    // A tunnel between boxes: probed by unicast Hellos, told everything reliably and seldom.
    static InterfaceOptions tunnel(const IpAddress& ours, const IpAddress& peer, Announce announce);
};

// What may pass between us and neighbours. Asked for each prefix of each Update.
class Policy {
public:
    virtual ~Policy() = default;
    // May the neighbour announce it? If not, nothing of it enters a table, and an alarm is raised.
    virtual bool may_announce(const NeighborId& neighbor, const Prefix& prefix) const = 0;
    // Does the originator belong to our own network? Then what it may not announce is ignored
    // without an alarm, whichever neighbour forwards it.
    virtual bool is_of_our_network(const RouterId& /*originator*/) const { return false; }
    // May we tell the interface's neighbours of it? `own`: originated here.
    virtual bool may_export(InterfaceId interface, const Prefix& prefix, bool own) const = 0;
};

struct SpeakerOptions {
    FillRandom fill_random;                 // router-id, nonces, jitter; must not be empty
    std::optional<RouterId> router_id;      // else random, new at each start
    std::vector<uint8_t> router_id_prefix;  // of a random one: these bytes first, 4 at most
    const Policy* policy = nullptr;         // none: everything may pass. Outlives the speaker.
    // Another route must be better by this much, and by 1/8, before it replaces one that works.
    uint16_t switch_margin = 16;
    Duration smoothing_half_life = std::chrono::seconds{4};  // of the metrics compared; 0: none
};

// ---- in ----

struct Datagram {
    InterfaceId interface = 0;
    Flow flow;
    Bytes bytes;
};

// ---- out ----

struct Outgoing {
    InterfaceId interface = 0;
    Flow flow;  // hop limit 1
    std::vector<uint8_t> bytes;
};

struct RouteChange {
    enum class State : uint8_t {
        reachable,
        unreachable,  // drop its packets, do not fall back to a shorter prefix
        gone,
    };
    Prefix prefix;
    State state = State::gone;
    NeighborId via;      // reachable
    IpAddress next_hop;  // reachable; IPv6 for an IPv4 prefix: RFC 9229
    uint16_t metric = kInfinity;

    bool operator==(const RouteChange&) const = default;
};

struct Event {
    enum class Kind : uint8_t {
        neighbor_up,
        neighbor_down,
        prefix_refused,      // alarm: the neighbour may not announce it
        too_many_routes,     // alarm: more than max_routes
        sender_refused,      // alarm: no valid MAC
        neighbor_suspected,  // Hellos are missing: it is asked, and may yet answer
    };
    Kind kind;
    NeighborId neighbor;
    Prefix prefix;  // prefix_refused, too_many_routes
};

// Fates of packets and TLVs; the name is the metric label.
enum class Counter : uint8_t {
    packets_sent,
    bytes_sent,
    packets_received,
    bytes_received,
    updates_sent,
    updates_received,
    seqno_requests_forwarded,
    // dropped
    unknown_interface,
    bad_source,  // not link-local, another port, or not the peer of this link
    over_rate,   // more than an interface may bring in a second
    malformed,   // not a Babel packet
    bad_mac,
    replayed,
    tlvs_ignored,
    too_many_neighbors,
    prefixes_refused,
    prefixes_of_our_network,
    nb_counters,
};
constexpr size_t kNbCounters = static_cast<size_t>(Counter::nb_counters);
const char* to_string(Counter counter) noexcept;

struct NeighborView {
    NeighborId id;
    bool up = false;  // both directions work
    Duration hello_interval{};
    double loss = 0;  // of its Hellos, 0..1
    bool rtt_known = false;
    uint32_t rtt_p50_us = 0;
    uint32_t rtt_jitter_us = 0;
    uint16_t rxcost = kInfinity;  // what we tell it
    uint16_t txcost = kInfinity;  // what it tells us
    uint16_t cost = kInfinity;
    Time last_heard{};
    size_t nb_routes = 0;
};

struct RouteView {
    Prefix prefix;
    NeighborId via;
    IpAddress next_hop;
    RouterId router_id{};
    uint16_t seqno = 0;
    uint16_t advertised_metric = kInfinity;
    uint16_t metric = kInfinity;
    bool feasible = false;
    bool selected = false;
};

// A Babel router without its sockets (RFC 8966, 9616, 9229, 8967): bytes and time go in, bytes and
// route changes come out. One thread; no clock, no socket, no global.
//
// After every call, or after a batch of calls, take what came out; call tick() at next_deadline().
class Speaker {
public:
    explicit Speaker(SpeakerOptions options);
    ~Speaker();
    Speaker(const Speaker&) = delete;
    Speaker& operator=(const Speaker&) = delete;

    // ---- configuration; unknown ids are ignored ----
    // `keys`: all neighbours there must have one of them. False when the id is in use.
    bool add_interface(InterfaceId id, const InterfaceOptions& options, std::vector<MacKey> keys,
                       Time now);
    // Its neighbours and their routes are gone at once; nothing is sent there any more.
    void remove_interface(InterfaceId id, Time now);
    // Fast on a link in use, slow on an idle one. The neighbour learns it from the next Hello,
    // which is sent at once.
    void set_hello_interval(InterfaceId id, Duration interval, Time now);
    void set_cost(InterfaceId id, const CostOptions& cost, Time now);
    // A fault shared with another interface is suspected: probes the neighbours at once. One that
    // does not answer is down, however far away its next Hello is.
    void doubt(InterfaceId id, Time now);
    // Sends updates for what is new to the neighbours, and retracts what they are no longer to
    // hear of.
    void set_announce(InterfaceId id, Announce announce, Time now);
    // Asks neighbours for everything the policy now allows, and drops what it no longer does.
    void on_policy_changed(Time now);
    // The policy lets nothing of the prefix out there any more: neighbours forget it at once.
    void retract(InterfaceId id, const Prefix& prefix, Time now);

    // The box reaches the prefix by itself, at this metric.
    void originate(const Prefix& prefix, Scope scope, Time now, uint16_t metric = 0);
    void withdraw(const Prefix& prefix, Time now);
    // A leaf that talks to this address wants its own route besides the aggregate, to compare ways.
    void want(const Prefix& prefix, Time now);
    void unwant(const Prefix& prefix);

    // ---- events ----
    void receive(const Datagram& datagram, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;
    // Says goodbye on every interface: neighbours drop our routes at once. Then only destroy.
    void shutdown();

    // ---- what came out; each call empties it ----
    std::vector<Outgoing> take_packets();
    std::vector<RouteChange> take_route_changes();
    std::vector<Event> take_events();

    // ---- views ----
    const RouterId& router_id() const noexcept;
    uint16_t seqno() const noexcept;
    std::vector<NeighborView> neighbors() const;
    std::vector<RouteView> routes() const;
    std::vector<RouteView> routes(const Prefix& prefix) const;
    std::optional<RouteView> selected(const Prefix& prefix) const;
    uint64_t counter(Counter counter) const noexcept;
    size_t nb_sources() const noexcept;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace meshgate::babel
