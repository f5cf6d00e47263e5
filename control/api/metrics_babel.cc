// SPDX-License-Identifier: Apache-2.0
#include "control/api/metrics_writer.h"

namespace meshgate::control::metrics {
namespace {

// A neighbour and where it is.
struct Neighbor {
    const BabelPlaceView& place;
    const BabelNeighborView& view;
};

Labels neighbor_labels(const Neighbor& neighbor) {
    return {{"place", neighbor.place.name}, {"neighbor", to_string(neighbor.view.address)}};
}

void write_neighbors(const Writer& writer, const std::vector<Neighbor>& neighbors) {
    writer.each_gauge("meshgate_babel_neighbor_up", "1 when both sides hear each other.", neighbors,
                      neighbor_labels, [](const Neighbor& n) { return n.view.up ? 1 : 0; });
    writer.each_gauge("meshgate_babel_neighbor_cost", "Cost of the neighbour; 65535 is infinite.",
                      neighbors, neighbor_labels, [](const Neighbor& n) { return n.view.cost; });
    writer.each_gauge("meshgate_babel_neighbor_loss_ratio",
                      "Share of the neighbour's Hellos that were lost, 0 to 1.", neighbors,
                      neighbor_labels, [](const Neighbor& n) { return n.view.loss; });
    writer.each_gauge("meshgate_babel_neighbor_routes", "Routes that the neighbour announces.",
                      neighbors, neighbor_labels, [](const Neighbor& n) { return n.view.routes; });
    Family rtt = writer.gauge("meshgate_babel_neighbor_rtt_seconds",
                              "Median round-trip time to the neighbour.");
    for (const Neighbor& neighbor : neighbors) {
        if (neighbor.view.rtt_p50_ms)
            rtt.add(neighbor_labels(neighbor), *neighbor.view.rtt_p50_ms / 1000);
    }
}

}  // namespace

void write_babel(const Writer& writer, const BabelView& babel) {
    if (babel.places.empty())
        return;
    std::vector<Neighbor> neighbors;
    for (const BabelPlaceView& place : babel.places) {
        for (const BabelNeighborView& neighbor : place.neighbors)
            neighbors.push_back({place, neighbor});
    }
    write_neighbors(writer, neighbors);
    writer.single("meshgate_babel_routes", "Routes in use that were learned by Babel.",
                  babel.routes);
    writer.single("meshgate_babel_unreachable_routes",
                  "Lost routes whose packets are dropped for a while.", babel.unreachable);
    writer.each_counter(
        "meshgate_babel_prefixes_refused_total",
        "Alarms about prefixes that a neighbour may not announce, by why not.", babel.refused,
        [](const ResultCount& r) {
            return Labels{{"reason", r.result}};
        },
        [](const ResultCount& r) { return r.count; });
    writer.each_counter(
        "meshgate_babel_events_total", "Packets, updates and what was dropped of them, by kind.",
        babel.counters,
        [](const ResultCount& r) {
            return Labels{{"event", r.result}};
        },
        [](const ResultCount& r) { return r.count; });
}

}  // namespace meshgate::control::metrics
