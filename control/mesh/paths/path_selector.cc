// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/path_selector.h"

#include <algorithm>

#include "control/babel/tlv.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// So long a path that has failed stays in force, while there is no other: most outages are shorter,
// and refusing packets makes users' connections fail at once.
constexpr auto kGiveUpAfter = 3s;

using Kind = PathDecision::Kind;

std::optional<PathChoice> best_of(const std::vector<Route>& routes,
                                  const std::set<IpAddress>& avoided) {
    const Route* best = nullptr;
    for (const Route& route : routes) {
        if (route.metric == babel::kInfinity || !route.feasible || avoided.contains(route.via.node))
            continue;
        if (route.selected)
            return PathChoice{route.via, route.metric};
        if (best == nullptr || route.metric < best->metric)
            best = &route;
    }
    if (best == nullptr)
        return std::nullopt;
    return PathChoice{best->via, best->metric};
}

std::optional<PathChoice> best_avoiding(const Routes& routes, const std::set<IpAddress>& avoided) {
    const auto path = best_of(routes.to_node, avoided);
    return path ? path : best_of(routes.to_aggregate, avoided);
}

// Whether the routing protocol still knows this path, be it the best or not.
bool exists(const Routes& routes, const NextHop& via) {
    const auto is_it = [&via](const Route& route) {
        return route.via.link == via.link && route.metric != babel::kInfinity;
    };
    return std::ranges::any_of(routes.to_node, is_it) ||
           std::ranges::any_of(routes.to_aggregate, is_it);
}

PathDecision without_path(const PathInputs& inputs) {
    if (!inputs.in_force)
        return {.kind = Kind::wait, .path = {}};
    const bool too_long = inputs.now - inputs.failing_since.value_or(inputs.now) >= kGiveUpAfter;
    return {.kind = too_long ? Kind::give_up : Kind::failing, .path = *inputs.in_force};
}

}  // namespace

std::optional<PathChoice> best_path(const Routes& routes, const std::set<IpAddress>& held_down) {
    const auto path = best_avoiding(routes, held_down);
    return path || held_down.empty() ? path : best_avoiding(routes, {});
}

PathDecision select_path(const PathInputs& inputs) {
    auto best = best_path(inputs.routes, inputs.held_down);
    if (!best && !inputs.in_force && inputs.handshake_link)
        best = PathChoice{.via = {*inputs.handshake_link, inputs.target}, .metric = 0};
    if (!best)
        return without_path(inputs);
    const bool is_in_force = inputs.in_force && inputs.in_force->via == best->via;
    const bool ready = best->via.node == inputs.target || inputs.agreed == best->via;
    if (ready)
        return {.kind = is_in_force ? Kind::keep : Kind::change, .path = *best};
    if (is_in_force || (inputs.in_force && !exists(inputs.routes, inputs.in_force->via)))
        return without_path(inputs);
    return {.kind = Kind::wait, .path = {}};
}

}  // namespace meshgate::mesh
