// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "control/babel/source_table.h"
#include "control/babel/speaker.h"
#include "control/babel/tables.h"

namespace meshgate::babel {

constexpr uint8_t kRequestHopCount = 127;
constexpr auto kSweepInterval = std::chrono::seconds{1};  // between sweeps of what has expired

// speaker.cc: configuration, time, views. receive.cc: what arrives. neighbors.cc: who is there and
// at what cost. routes.cc: selection, holds, requests. send.cc: what leaves.
class Speaker::Impl {
public:
    explicit Impl(SpeakerOptions given);

    // ---- speaker.cc ----
    Interface* find_interface(InterfaceId id);
    void reschedule(Interface& interface);
    void tick(Time now);
    void sweep(Time now);
    void count(Counter counter, uint64_t by = 1) { counters[static_cast<size_t>(counter)] += by; }
    double random_0_to_1() { return std::uniform_real_distribution<double>{0, 1}(jitter); }
    // 0.9 to 1 times.
    Duration jittered(Duration duration);

    // ---- receive.cc ----
    void receive(const Datagram& datagram, Time now);
    void on_hello(Neighbor& neighbor, const Hello& hello, Time now);
    void on_ihu(Neighbor& neighbor, const Ihu& ihu, Time now);
    void on_ack(Neighbor& neighbor, const Ack& ack);
    void on_update(Neighbor& neighbor, const Update& update, Time now);
    void on_route_request(Neighbor& neighbor, const RouteRequest& request, Time now);
    void on_seqno_request(Neighbor& neighbor, const SeqnoRequest& request, Time now);
    Neighbor* neighbor_for(Interface& interface, const IpAddress& address, const Decoded& decoded,
                           Time now);

    // ---- neighbors.cc ----
    void check_neighbor(Neighbor& neighbor, Time now);
    void doubt(Neighbor& neighbor, Time now);
    void settle_doubt(Neighbor& neighbor, Time now);
    void on_missed_hello(Neighbor& neighbor, Time now);
    void update_costs(Neighbor& neighbor, Time now);
    uint16_t rxcost(Neighbor& neighbor) const;
    uint16_t cost(Neighbor& neighbor, Time now) const;
    void remove_neighbor(Neighbor& neighbor, Time now);
    void remove_lost_neighbors(Interface& interface, Time now);

    // ---- routes.cc ----
    void retract_all(Neighbor& neighbor, Time now);
    void store_route(Neighbor& neighbor, const Update& update, Time now);
    void remove_route(const Prefix& prefix, const Neighbor& via, Time now);
    void select(const Prefix& prefix, Time now);
    Route* choose(const Prefix& prefix, Destination& destination, Time now);
    void on_selected(const Prefix& prefix, Destination& destination, const Route& route, Time now);
    void on_lost(const Prefix& prefix, Destination& destination, Time now);
    void publish(Destination& destination, RouteChange change);
    void end_hold(const Prefix& prefix);
    void release_from_holds(const NeighborId& neighbor);
    bool feasible(const Prefix& prefix, const Route& route) const noexcept;
    double smoothed(const Route& route, Time now) const noexcept;
    void request_seqno(const Source& source, uint16_t seqno, Neighbor* target, Time now);
    void send_request(const Source& source, Time now);
    void answer_waiting(const Prefix& prefix, const Destination& destination, Time now);
    void sweep_routes(Time now);
    void sweep_requests(Time now);
    void ask_wanted(Time now);
    RouteView view(const Prefix& prefix, const Destination& destination, const Route& route) const;

    // ---- send.cc ----
    // Is the prefix any business of this interface's neighbours?
    bool announces(const Interface& interface, const Prefix& prefix) const;
    void trigger(const Prefix& prefix, bool acknowledged, Time now);
    void trigger_on(Interface& interface, const Prefix& prefix, bool acknowledged, Time now);
    void queue(Neighbor& neighbor, Tlv tlv, Time at);
    void flush_by(Interface& interface, Time at);
    void send_hello(Interface& interface, Time now);
    void dump_slice(Interface& interface, Time now);
    void resend(Interface& interface, Time now);
    void flush(Interface& interface, Time now);
    std::optional<Update> make_update(Interface& interface, const Prefix& prefix, bool triggered,
                                      Time now);
    void send_packet(Interface& interface, PacketWriter& writer, const IpAddress& destination);
    void send_alone(Interface& interface, const IpAddress& destination, const Tlv& tlv);
    void send_updates(Interface& interface, PacketWriter& writer, Time now);
    PacketWriter writer_for(const Interface& interface) const;
    Time flush_time(Time now);

    struct Own {
        Scope scope;
        uint16_t metric;
    };
    struct Request {
        uint16_t seqno = 0;
        unsigned tries_left = 0;
        Time next{};
        Duration interval{};
        std::optional<NeighborId> target;
        std::map<NeighborId, Time> asked;  // alone, and when last

        // Whether this neighbour may be asked out of turn; then it counts as asked.
        bool asks_again(const NeighborId& neighbor, Time now);
    };
    static SeqnoRequest seqno_request(const Source& source, const Request& request);
    struct Forwarded {
        uint16_t seqno = 0;
        std::set<InterfaceId> requesters;
        Time suppress_until{};
        Time expires{};
    };

    SpeakerOptions options;
    RouterId router_id{};
    uint16_t seqno = 0;
    std::mt19937 jitter;
    std::map<InterfaceId, Interface> interfaces;
    std::set<std::pair<Time, InterfaceId>> schedule;
    Time next_sweep = kNever;
    std::map<Prefix, Own> own;
    std::map<Prefix, Destination> destinations;
    std::set<Prefix> held;
    SourceTable sources;
    std::map<Source, Request> requests;
    std::map<Source, Forwarded> forwarded;
    std::map<Prefix, Time> wanted;  // when to ask again
    std::vector<Outgoing> packets;
    std::vector<RouteChange> changes;
    std::vector<Event> events;
    std::map<std::pair<NeighborId, Prefix>, Time> alarmed;  // quiet about it until then
    std::array<uint64_t, kNbCounters> counters{};

    void alarm(Event::Kind kind, const NeighborId& neighbor, const Prefix& prefix, Time now);
};

}  // namespace meshgate::babel
