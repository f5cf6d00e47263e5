// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "control/babel/speaker_impl.h"

namespace meshgate::babel {

namespace {

// Hellos missed in a row from which a neighbour is probed.
constexpr unsigned kSuspiciousMisses = 2;
constexpr unsigned kFatalMisses = 3;  // missed in a row, probes unanswered: the link is down
// Missed in a row although probes are answered: not a router we can use.
constexpr unsigned kCertainMisses = 6;
// A quarter of the Hello interval, but no less.
constexpr Duration kMinProbeInterval = std::chrono::milliseconds{50};
constexpr Duration kMaxProbeInterval = std::chrono::milliseconds{500};  // ... and no more
constexpr uint16_t kProbeAckCs = 1;  // how soon a probe wants its answer, in 10 ms
// How long a neighbour is doubted that may share a failed link's fault: 3 RTT, but no less.
constexpr Duration kMinDoubt = std::chrono::milliseconds{250};
// Between probes of a doubted neighbour.
constexpr Duration kDoubtInterval = std::chrono::milliseconds{50};
// Heard within this time: not doubted.
constexpr Duration kJustHeard = std::chrono::milliseconds{200};
// A silent neighbour is forgotten after 16 Hello intervals, but no sooner.
constexpr Duration kMinNeighborLife = std::chrono::seconds{30};

uint16_t rounded(double value) noexcept {
    return static_cast<uint16_t>(std::lround(std::clamp(value, 0.0, 65534.0)));
}

}  // namespace

// Books Hellos that did not come, and asks a suspect for a sign of life.
void Speaker::Impl::check_neighbor(Neighbor& neighbor, Time now) {
    for (HelloHistory& hello : neighbor.hellos) {
        // Bounded: after a long sleep of ours sixteen misses say as much as a thousand.
        for (int i = 0; i < 16 && hello.next_due() <= now; ++i) {
            hello.missed();
            on_missed_hello(neighbor, now);
        }
        if (hello.next_due() <= now)
            hello.forget();
    }
    if (neighbor.ihu_expires <= now)
        neighbor.txcost = kInfinity;
    settle_doubt(neighbor, now);
    if (neighbor.next_probe <= now) {
        const Duration spacing =
            neighbor.doubted_until != kNever
                ? kDoubtInterval
                : std::clamp(neighbor.hello().interval() / 4, kMinProbeInterval, kMaxProbeInterval);
        neighbor.next_probe = now + spacing;
        // The nonce is nobody's: only that an answer comes matters.
        queue(neighbor, AckRequest{0, kProbeAckCs}, now);
    }
    update_costs(neighbor, now);
}

void Speaker::Impl::doubt(Neighbor& neighbor, Time now) {
    if (!neighbor.receiving || neighbor.doubted_until != kNever ||
        now - neighbor.last_heard < kJustHeard)
        return;
    neighbor.doubted_at = neighbor.next_probe = now;
    neighbor.doubted_until =
        now + std::max<Duration>(kMinDoubt, std::chrono::microseconds{3 * neighbor.rtt.p50_us()});
}

void Speaker::Impl::settle_doubt(Neighbor& neighbor, Time now) {
    if (neighbor.doubted_until == kNever)
        return;
    const bool answered = neighbor.last_heard > neighbor.doubted_at;
    if (!answered && now < neighbor.doubted_until)
        return;
    neighbor.doubted_at = neighbor.doubted_until = kNever;
    if (neighbor.suspected_at == kNever)
        neighbor.next_probe = kNever;
    if (answered)
        return;
    neighbor.receiving = false;
    neighbor.suspected_at = neighbor.next_probe = kNever;
    // What came before says nothing any more: it has to greet anew.
    for (HelloHistory& hello : neighbor.hellos)
        hello.forget();
}

// A link that loses one packet in twenty loses three in a row every half hour at five a second, and
// must not go down for that: who misses two asks, and only silence to that is the end.
void Speaker::Impl::on_missed_hello(Neighbor& neighbor, Time now) {
    const unsigned in_row = neighbor.hello().missed_in_row();
    if (!neighbor.receiving || in_row < kSuspiciousMisses)
        return;
    if (neighbor.suspected_at == kNever || neighbor.last_heard > neighbor.suspected_at) {
        neighbor.suspected_at = neighbor.next_probe = now;
        events.push_back({Event::Kind::neighbor_suspected, neighbor.id, {}});
    } else if (in_row >= kFatalMisses) {
        // An answer needs a round trip.
        const auto patience = std::chrono::microseconds{2 * neighbor.rtt.p50_us()};
        if (now - neighbor.suspected_at >= patience)
            neighbor.receiving = false;
    }
    if (in_row >= kCertainMisses)
        neighbor.receiving = false;
    if (!neighbor.receiving)
        neighbor.suspected_at = neighbor.next_probe = kNever;
}

// What the neighbour's packets cost on their way to us.
uint16_t Speaker::Impl::rxcost(Neighbor& neighbor) const {
    if (!neighbor.receiving)
        return kInfinity;
    const CostOptions& with = neighbor.interface->options.cost;
    const double loss =
        neighbor.loss_penalty.follow(with.per_loss * 100 * std::min(neighbor.hello().loss(), 0.5));
    return add_cost(uint32_t{with.base} + with.bias + (with.metered ? kMeteredPenalty : 0),
                    rounded(loss));
}

uint16_t Speaker::Impl::cost(Neighbor& neighbor, Time now) const {
    if (!neighbor.receiving || neighbor.txcost == kInfinity || now >= neighbor.ihu_expires)
        return kInfinity;
    const CostOptions& with = neighbor.interface->options.cost;
    double delay = 0;
    if (neighbor.rtt.known())
        delay = neighbor.delay_penalty.follow(rtt_penalty(with, neighbor.rtt.p50_us()));
    // At least 1: metrics must grow with each hop (RFC 8966 section 3.5.2).
    return std::max<uint16_t>(
        1, add_cost(neighbor.txcost,
                    uint32_t{with.bias} + (with.metered ? kMeteredPenalty : 0) + rounded(delay)));
}

void Speaker::Impl::update_costs(Neighbor& neighbor, Time now) {
    Interface& interface = *neighbor.interface;
    if (!neighbor.receiving && neighbor.hello().two_of_three() &&
        neighbor.hello().missed_in_row() == 0) {
        neighbor.receiving = true;
        neighbor.loss_penalty = Steady{kLossSlack};  // what the outage left there
    }
    const bool deaf = rxcost(neighbor) == kInfinity;
    if (deaf != (neighbor.told_rxcost == kInfinity) && interface.next_hello > now)
        interface.next_hello = now;  // it must know at once
    const uint16_t before = neighbor.cost;
    neighbor.cost = cost(neighbor, now);
    if (neighbor.cost == before)
        return;
    if (before == kInfinity) {
        events.push_back({Event::Kind::neighbor_up, neighbor.id, {}});
        queue(neighbor, RouteRequest{}, flush_time(now));
        interface.next_dump = now;
        interface.cursor.reset();
        interface.dump_in_haste = true;
        for (auto& [prefix, next] : wanted)
            next = now;
    } else if (neighbor.cost == kInfinity) {
        events.push_back({Event::Kind::neighbor_down, neighbor.id, {}});
    }
    // A link that was down comes back with a doubtful metric, so that it has to prove itself.
    const std::set<Prefix> prefixes = neighbor.prefixes;
    for (const Prefix& prefix : prefixes) {
        Route& route = *destinations[prefix].find(&neighbor);
        if (before == kInfinity) {
            route.smoothed = 2.0 * route.metric();
            route.smoothed_at = now;
        }
        select(prefix, now);
    }
}

void Speaker::Impl::remove_neighbor(Neighbor& neighbor, Time now) {
    if (neighbor.cost != kInfinity)
        events.push_back({Event::Kind::neighbor_down, neighbor.id, {}});
    Interface& interface = *neighbor.interface;
    const std::set<Prefix> prefixes = neighbor.prefixes;
    for (const Prefix& prefix : prefixes)
        remove_route(prefix, neighbor, now);
    release_from_holds(neighbor.id);
    for (Unacknowledged& sent : interface.unacknowledged)
        sent.waiting.erase(neighbor.id.address);
    interface.neighbors.erase(IpAddress{neighbor.id.address});
}

void Speaker::Impl::remove_lost_neighbors(Interface& interface, Time now) {
    std::vector<IpAddress> lost;
    for (const auto& [address, neighbor] : interface.neighbors) {
        const Duration life = std::max(kMinNeighborLife, neighbor.hello().interval() * 16);
        if (!neighbor.receiving && now - neighbor.last_heard >= life)
            lost.push_back(address);
    }
    for (const IpAddress& address : lost)
        remove_neighbor(*interface.find(address), now);
}

}  // namespace meshgate::babel
