// SPDX-License-Identifier: Apache-2.0
// What the API shows of routers of other makes.
#include <chrono>

#include "control/daemon/state_view.h"

namespace meshgate::control {

namespace {

using site_routers::Refusal;

double seconds(Time::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

BabelNeighborView neighbor_view(const babel::NeighborView& neighbor, Time now) {
    BabelNeighborView view;
    view.address = neighbor.id.address;
    view.up = neighbor.up;
    view.hello_interval_ms = static_cast<uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(neighbor.hello_interval).count());
    view.loss = neighbor.loss;
    if (neighbor.rtt_known) {
        view.rtt_p50_ms = neighbor.rtt_p50_us / 1000.0;
        view.jitter_ms = neighbor.rtt_jitter_us / 1000.0;
    }
    view.rxcost = neighbor.rxcost;
    view.txcost = neighbor.txcost;
    view.cost = neighbor.cost;
    view.age_s = seconds(now - neighbor.last_heard);
    view.routes = neighbor.nb_routes;
    return view;
}

BabelPlaceView place_view(const site_routers::Routers::PlaceView& at) {
    BabelPlaceView view;
    view.name = at.place.name;
    view.kind = at.place.peer == kNoPeer ? BabelPlaceView::Kind::port : BabelPlaceView::Kind::peer;
    view.up = at.place.up;
    view.address = at.place.options.address;
    view.authenticated = !at.place.key_file.empty();
    view.prefixes_refused = at.refused.total;
    if (at.refused.total > 0) {
        view.last_refused = at.refused.last;
        view.last_reason = at.refused.reason;
    }
    return view;
}

std::string hex_of(const babel::RouterId& id) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const uint8_t byte : id) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 0xf];
    }
    return text;
}

constexpr std::array<std::pair<Refusal::Kind, const char*>, 6> kReasons = {
    {{Refusal::Kind::not_accepted, "not_accepted"},
     {Refusal::Kind::own_address, "own_address"},
     {Refusal::Kind::node_prefix, "node_prefix"},
     {Refusal::Kind::peer, "peer"},
     {Refusal::Kind::member, "member"},
     {Refusal::Kind::client, "client"}}};

}  // namespace

BabelView StateView::babel() {
    const site_routers::Routers& routers = gateway_.site_routers();
    const babel::Speaker& speaker = routers.speaker();
    const Time now = gateway_.now().mono;
    BabelView view;
    view.router_id = hex_of(speaker.router_id());
    view.seqno = speaker.seqno();
    for (const auto& [prefix, change] : routers.learned()) {
        const bool reachable = change.state == babel::RouteChange::State::reachable;
        ++(reachable ? view.routes : view.unreachable);
    }
    const auto neighbors = speaker.neighbors();
    for (const site_routers::Routers::PlaceView& place : routers.places()) {
        view.places.push_back(place_view(place));
        for (const babel::NeighborView& neighbor : neighbors) {
            if (neighbor.id.interface == place.place.id())
                view.places.back().neighbors.push_back(neighbor_view(neighbor, now));
        }
    }
    for (const auto& [kind, name] : kReasons) {
        const auto found = routers.nb_refused().find(kind);
        view.refused.push_back({name, found == routers.nb_refused().end() ? 0 : found->second});
    }
    for (size_t i = 0; i < babel::kNbCounters; ++i) {
        const auto counter = static_cast<babel::Counter>(i);
        view.counters.push_back({babel::to_string(counter), speaker.counter(counter)});
    }
    return view;
}

}  // namespace meshgate::control
