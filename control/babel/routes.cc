// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "control/babel/speaker_impl.h"

namespace meshgate::babel {

namespace {

constexpr unsigned kRequestTries = 3;  // seqno or route requests before a source is given up
constexpr Duration kRequestInterval = std::chrono::seconds{2};  // backoff between them; doubles
constexpr Duration kAskAgainAfter =
    std::chrono::seconds{1};           // before one neighbour is asked out of turn again
constexpr size_t kMaxRequests = 4096;  // own requests under way
// Hold-down of a lost route: unreachable, not forgotten, until neighbours know.
constexpr Duration kMinHold = std::chrono::seconds{10};
// A metric that has changed by less is told with the next periodic update.
constexpr uint16_t kTriggerChange = 24;

uint16_t distance(uint16_t a, uint16_t b) noexcept {
    return static_cast<uint16_t>(a > b ? a - b : b - a);
}

}  // namespace

bool Speaker::Impl::feasible(const Prefix& prefix, const Route& route) const noexcept {
    return sources.feasible({prefix, route.router_id}, route.seqno, route.advertised);
}

// RFC 8966 appendix A.3.
double Speaker::Impl::smoothed(const Route& route, Time now) const noexcept {
    const double metric = route.metric();
    if (options.smoothing_half_life <= Duration{})
        return metric;
    const double halves = std::chrono::duration<double>(now - route.smoothed_at) /
                          std::chrono::duration<double>(options.smoothing_half_life);
    return metric + (route.smoothed - metric) * std::exp2(-halves);
}

void Speaker::Impl::retract_all(Neighbor& neighbor, Time now) {
    const std::set<Prefix> prefixes = neighbor.prefixes;
    for (const Prefix& prefix : prefixes)
        store_route(neighbor, Update{.prefix = prefix, .metric = kInfinity}, now);
}

// RFC 8966 section 3.5.3.
void Speaker::Impl::store_route(Neighbor& neighbor, const Update& update, Time now) {
    const Prefix& prefix = *update.prefix;
    const bool retraction = update.metric == kInfinity;
    if (retraction && !neighbor.prefixes.contains(prefix))
        return;
    if (!neighbor.prefixes.contains(prefix)) {
        if (neighbor.prefixes.size() >= neighbor.interface->options.max_routes)
            return alarm(Event::Kind::too_many_routes, neighbor.id, prefix, now);
        neighbor.prefixes.insert(prefix);
        destinations[prefix].routes.push_back(
            {.via = &neighbor, .next_hop = {}, .smoothed_at = now});
    }
    Destination& destination = destinations[prefix];
    Route& route = *destination.find(&neighbor);
    if (retraction) {
        route.advertised = kInfinity;
        return select(prefix, now);
    }
    const Source source{prefix, *update.router_id};
    const bool usable = sources.feasible(source, update.seqno, update.metric);
    const bool selected = destination.selected == &neighbor;
    if (!usable && selected && route.router_id == *update.router_id) {
        // May be ignored: what we have is still free of loops, as whoever sent this cannot have
        // chosen us. It expires unless the source gives us a newer seqno (3.8.2.2).
        return request_seqno(source, static_cast<uint16_t>(sources.find(source)->seqno + 1),
                             &neighbor, now);
    }
    const bool fresh = route.advertised == kInfinity;
    route.smoothed = fresh ? 0 : smoothed(route, now);
    route.smoothed_at = now;
    route.next_hop = *update.next_hop;
    route.router_id = *update.router_id;
    route.seqno = update.seqno;
    route.advertised = update.metric;
    route.expires = now + from_cs(update.interval_cs) * 7 / 2;
    if (fresh)
        route.smoothed = 2.0 * route.metric();
    select(prefix, now);
    if (usable || own.contains(prefix))
        return;
    // Would it be chosen if it were feasible? Then ask (3.8.2.2).
    const Route* chosen = destinations[prefix].find(destinations[prefix].selected);
    if (chosen == nullptr || route.metric() < chosen->metric())
        request_seqno(source, static_cast<uint16_t>(sources.find(source)->seqno + 1), &neighbor,
                      now);
}

void Speaker::Impl::remove_route(const Prefix& prefix, const Neighbor& via, Time now) {
    const auto at = destinations.find(prefix);
    if (at == destinations.end())
        return;
    Destination& destination = at->second;
    Neighbor* neighbor = find_interface(via.id.interface)->find(via.id.address);
    neighbor->prefixes.erase(prefix);
    const bool was_selected = destination.selected == &via;
    if (was_selected) {  // first without a metric, so that select() sees the loss
        destination.find(&via)->advertised = kInfinity;
        select(prefix, now);
    }
    const auto again = destinations.find(prefix);
    if (again == destinations.end())
        return;
    std::erase_if(again->second.routes, [&via](const Route& route) { return route.via == &via; });
    select(prefix, now);
}

// The best of those that may be used; the one in use unless another is clearly better, now and on
// average.
Route* Speaker::Impl::choose(const Prefix& prefix, Destination& destination, Time now) {
    Route* best = nullptr;
    destination.undecided = false;
    for (Route& route : destination.routes) {
        if (route.metric() == kInfinity || !feasible(prefix, route))
            continue;
        if (best == nullptr || route.metric() < best->metric())
            best = &route;
    }
    Route* current = destination.find(destination.selected);
    if (best == nullptr || current == nullptr || current == best ||
        current->metric() == kInfinity || !feasible(prefix, *current))
        return best;
    const double margin = options.switch_margin == 0
                              ? 0.0
                              : std::max<double>(options.switch_margin, current->metric() / 8);
    const bool better_now = best->metric() + margin < current->metric();
    const bool better_on_average = smoothed(*best, now) + margin < smoothed(*current, now);
    destination.undecided = better_now && !better_on_average;
    return better_now && better_on_average ? best : current;
}

void Speaker::Impl::publish(Destination& destination, RouteChange change) {
    if (destination.published == change)
        return;
    destination.published = change;
    changes.push_back(std::move(change));
}

// Chooses anew and tells owner and neighbours what has changed. The destination may be gone
// afterwards.
void Speaker::Impl::select(const Prefix& prefix, Time now) {
    const auto at = destinations.find(prefix);
    if (at == destinations.end())
        return;
    Destination& destination = at->second;
    if (own.contains(prefix)) {
        destination.selected = nullptr;
        destination.told_metric = kInfinity;
        end_hold(prefix);
        publish(destination, {.prefix = prefix, .via = {}, .next_hop = {}});
    } else if (const Route* route = choose(prefix, destination, now); route != nullptr) {
        on_selected(prefix, destination, *route, now);
    } else if (destination.selected != nullptr) {
        on_lost(prefix, destination, now);
    }
    if (destination.routes.empty() && !destination.hold)
        destinations.erase(at);
}

void Speaker::Impl::on_selected(const Prefix& prefix, Destination& destination, const Route& route,
                                Time now) {
    const bool other_router =
        destination.told_metric == kInfinity || destination.router_id != route.router_id;
    const bool other_way = destination.selected != route.via;
    const uint16_t metric = route.metric();
    const bool changed = distance(metric, destination.told_metric) >= kTriggerChange;
    destination.selected = route.via;
    destination.router_id = route.router_id;
    destination.seqno = route.seqno;
    if (destination.hold) {
        destination.hold.reset();
        held.erase(prefix);
    }
    publish(destination, {.prefix = prefix,
                          .state = RouteChange::State::reachable,
                          .via = route.via->id,
                          .next_hop = route.next_hop,
                          .metric = metric});
    answer_waiting(prefix, destination, now);
    if (!other_router && !other_way && !changed)
        return;
    destination.told_metric = metric;
    // Where the router-id changes, neighbours compare with another source: urgent (3.7.2).
    trigger(prefix, other_router, now);
}

void Speaker::Impl::on_lost(const Prefix& prefix, Destination& destination, Time now) {
    const Source source{prefix, destination.router_id};
    const auto distance_known = sources.find(source);
    destination.selected = nullptr;
    destination.told_metric = kInfinity;
    RouteChange change{.prefix = prefix, .via = {}, .next_hop = {}};
    if (distance_known) {
        // Somebody may send us its packets: until all know better, a shorter prefix could lead
        // them back to whoever they come from (3.5.4). A stub has announced nothing and goes on.
        change.state = RouteChange::State::unreachable;
        Duration life = kMinHold;
        std::set<NeighborId> waiting;
        for (auto& [id, interface] : interfaces) {
            if (!announces(interface, prefix))
                continue;
            life = std::max(life, interface.options.update_interval * 7 / 2);
            for (const auto& [address, neighbor] : interface.neighbors) {
                if (neighbor.receiving)
                    waiting.insert(neighbor.id);
            }
        }
        destination.hold = Destination::Hold{now + life, std::move(waiting)};
        held.insert(prefix);
        trigger(prefix, true, now);
    }
    publish(destination, change);
    if (distance_known)
        request_seqno(source, static_cast<uint16_t>(distance_known->seqno + 1), nullptr, now);
}

void Speaker::Impl::end_hold(const Prefix& prefix) {
    const auto at = destinations.find(prefix);
    held.erase(prefix);
    if (at == destinations.end() || !at->second.hold)
        return;
    at->second.hold.reset();
    publish(at->second, {.prefix = prefix, .via = {}, .next_hop = {}});
}

void Speaker::Impl::release_from_holds(const NeighborId& neighbor) {
    const std::set<Prefix> prefixes = held;
    for (const Prefix& prefix : prefixes) {
        auto& hold = destinations[prefix].hold;
        if (hold && hold->waiting.erase(neighbor) > 0 && hold->waiting.empty())
            end_hold(prefix);
    }
}

// ---- requests for a newer seqno (RFC 8966 section 3.8.2) ----

bool Speaker::Impl::Request::asks_again(const NeighborId& neighbor, Time now) {
    const auto [at, is_new] = asked.try_emplace(neighbor, now);
    if (!is_new && now < at->second + kAskAgainAfter)
        return false;
    at->second = now;
    return true;
}

SeqnoRequest Speaker::Impl::seqno_request(const Source& source, const Request& request) {
    return {.prefix = source.prefix,
            .seqno = request.seqno,
            .hop_count = kRequestHopCount,
            .router_id = source.router_id};
}

void Speaker::Impl::request_seqno(const Source& source, uint16_t wanted_seqno, Neighbor* target,
                                  Time now) {
    const auto known = requests.find(source);
    if (known != requests.end() && !seqno_less(known->second.seqno, wanted_seqno) &&
        (!known->second.target || target != nullptr)) {
        // Asked already; but whoever has the route only since then was not, or had nobody to pass
        // it on to, and the next try may be 8 s off.
        if (target != nullptr && known->second.asks_again(target->id, now))
            queue(*target, seqno_request(source, known->second), flush_time(now));
        return;
    }
    if (known == requests.end() && requests.size() >= kMaxRequests)
        return;
    requests[source] = {.seqno = wanted_seqno,
                        .tries_left = kRequestTries,
                        .next = now,
                        .interval = kRequestInterval,
                        .target = target != nullptr ? std::optional{target->id} : std::nullopt,
                        .asked = {}};
    if (target != nullptr)
        requests[source].asks_again(target->id, now);
    send_request(source, now);
}

void Speaker::Impl::send_request(const Source& source, Time now) {
    Request& request = requests[source];
    --request.tries_left;
    request.next = now + request.interval;
    request.interval *= 2;
    const SeqnoRequest tlv = seqno_request(source, request);
    if (request.target) {
        Interface* interface = find_interface(request.target->interface);
        Neighbor* target =
            interface == nullptr ? nullptr : interface->find(request.target->address);
        if (target != nullptr)
            queue(*target, tlv, flush_time(now));
        return;
    }
    const auto at = destinations.find(source.prefix);
    for (auto& [id, interface] : interfaces) {
        // A leaf knows nothing of others' routes: only one that announced this one is asked.
        const bool knows_others = interface.options.announce != Announce::aggregates;
        for (auto& [address, neighbor] : interface.neighbors) {
            const bool announced_it =
                at != destinations.end() && at->second.find(&neighbor) != nullptr;
            if (neighbor.cost != kInfinity && (knows_others || announced_it))
                queue(neighbor, tlv, flush_time(now));
        }
    }
}

// What was asked for has come: by us, or by neighbours through us.
void Speaker::Impl::answer_waiting(const Prefix& prefix, const Destination& destination, Time now) {
    const auto satisfies = [&destination](const Source& source, uint16_t wanted_seqno) {
        return source.router_id != destination.router_id ||
               !seqno_less(destination.seqno, wanted_seqno);
    };
    for (auto at = requests.lower_bound({prefix, {}});
         at != requests.end() && at->first.prefix == prefix;)
        at = satisfies(at->first, at->second.seqno) ? requests.erase(at) : std::next(at);
    for (auto at = forwarded.lower_bound({prefix, {}});
         at != forwarded.end() && at->first.prefix == prefix;) {
        if (!satisfies(at->first, at->second.seqno)) {
            ++at;
            continue;
        }
        for (const InterfaceId id : at->second.requesters) {
            if (Interface* interface = find_interface(id); interface != nullptr)
                trigger_on(*interface, prefix, true, now);
        }
        at = forwarded.erase(at);
    }
}

void Speaker::Impl::sweep_requests(Time now) {
    std::erase_if(forwarded, [now](const auto& entry) { return entry.second.expires <= now; });
    std::erase_if(requests, [now](const auto& entry) {
        return entry.second.tries_left == 0 && entry.second.next <= now;
    });
    for (auto& [source, request] : requests) {
        if (request.next <= now)
            send_request(source, now);
    }
}

// ---- time ----

void Speaker::Impl::sweep_routes(Time now) {
    const std::set<Prefix> holds = held;
    for (const Prefix& prefix : holds) {
        if (destinations[prefix].hold && destinations[prefix].hold->until <= now)
            end_hold(prefix);
    }
    std::vector<std::pair<Prefix, Neighbor*>> expired;
    std::vector<Prefix> unsettled;
    for (auto& [prefix, destination] : destinations) {
        bool empty = !destination.hold;
        for (Route& route : destination.routes) {
            if (route.expires <= now || route.advertised == kInfinity)
                expired.emplace_back(prefix, route.via);
            empty = false;
        }
        if (destination.undecided || empty)
            unsettled.push_back(prefix);
    }
    for (const auto& [prefix, via] : expired)
        remove_route(prefix, *via, now);
    for (const Prefix& prefix : unsettled)
        select(prefix, now);
}

// Asks every neighbour for the single routes that are wanted, before their interest lapses.
void Speaker::Impl::ask_wanted(Time now) {
    for (auto& [prefix, next] : wanted) {
        if (next > now)
            continue;
        next = kNever;
        for (auto& [id, interface] : interfaces) {
            for (auto& [address, neighbor] : interface.neighbors) {
                if (neighbor.cost == kInfinity)
                    continue;
                queue(neighbor, RouteRequest{prefix}, flush_time(now));
                next = std::min(next, now + jittered(interface.options.update_interval));
            }
        }
        if (next == kNever)
            next = now + kSweepInterval;
    }
}

RouteView Speaker::Impl::view(const Prefix& prefix, const Destination& destination,
                              const Route& route) const {
    return {.prefix = prefix,
            .via = route.via->id,
            .next_hop = route.next_hop,
            .router_id = route.router_id,
            .seqno = route.seqno,
            .advertised_metric = route.advertised,
            .metric = route.metric(),
            .feasible = feasible(prefix, route),
            .selected = destination.selected == route.via};
}

}  // namespace meshgate::babel
