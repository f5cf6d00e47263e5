// SPDX-License-Identifier: Apache-2.0
// Routers of other makes as JSON.
#include <cmath>
#include <nlohmann/json.hpp>

#include "control/api/json.h"

namespace meshgate::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint16_t kInfinite = 65535;

Json cost_or_null(uint16_t cost) {
    return cost == kInfinite ? Json(nullptr) : Json(cost);
}

// To a thousandth: what was measured is no more exact.
Json rounded_or_null(const std::optional<double>& value) {
    return value ? Json(std::round(*value * 1000) / 1000) : Json(nullptr);
}

Json to_json(const std::vector<ResultCount>& counts) {
    Json object = Json::object();
    for (const ResultCount& each : counts)
        object[each.result] = each.count;
    return object;
}

Json to_json(const BabelNeighborView& neighbor) {
    return {{"address", to_string(neighbor.address)},
            {"state", neighbor.up ? "up" : "down"},
            {"cost", cost_or_null(neighbor.cost)},
            {"rxcost", cost_or_null(neighbor.rxcost)},
            {"txcost", cost_or_null(neighbor.txcost)},
            {"rtt_p50_ms", rounded_or_null(neighbor.rtt_p50_ms)},
            {"jitter_ms", rounded_or_null(neighbor.jitter_ms)},
            {"loss_ratio", rounded_or_null(neighbor.loss)},
            {"age_s", rounded_or_null(neighbor.age_s)},
            {"hello_interval_ms", neighbor.hello_interval_ms},
            {"routes", neighbor.routes}};
}

Json to_json(const BabelPlaceView& place) {
    Json neighbors = Json::array();
    for (const BabelNeighborView& neighbor : place.neighbors)
        neighbors.push_back(to_json(neighbor));
    return {
        {"name", place.name},
        {"kind", to_string(place.kind)},
        {"up", place.up},
        {"address", to_string(place.address)},
        {"authenticated", place.authenticated},
        {"prefixes_refused", place.prefixes_refused},
        {"last_refused", place.last_refused ? Json(to_string(*place.last_refused)) : Json(nullptr)},
        {"last_reason", place.last_refused ? Json(place.last_reason) : Json(nullptr)},
        {"neighbors", std::move(neighbors)}};
}

}  // namespace

Json to_json(const BabelView& babel) {
    Json places = Json::array();
    for (const BabelPlaceView& place : babel.places)
        places.push_back(to_json(place));
    return {{"router_id", babel.router_id},
            {"seqno", babel.seqno},
            {"routes", babel.routes},
            {"unreachable", babel.unreachable},
            {"places", std::move(places)},
            {"refused", to_json(babel.refused)},
            {"counters", to_json(babel.counters)}};
}

}  // namespace meshgate::control
