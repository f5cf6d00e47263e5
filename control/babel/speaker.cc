// SPDX-License-Identifier: Apache-2.0
#include "control/babel/speaker.h"

#include <algorithm>

#include "base/assert.h"
#include "base/names.h"
#include "control/babel/speaker_impl.h"

namespace meshgate::babel {

namespace {

// Between alarms about the same prefix from the same neighbour.
constexpr auto kAlarmQuiet = std::chrono::minutes{1};
constexpr size_t kMaxAlarmed = 4096;  // pairs of neighbour and prefix whose alarms are kept apart

RouterId random_router_id(const FillRandom& fill_random, std::span<const uint8_t> prefix) {
    MG_ASSERT(prefix.size() <= sizeof(RouterId) / 2);  // two starts must differ
    RouterId id{};
    const auto reserved = [&id](uint8_t byte) {
        return std::all_of(id.begin(), id.end(), [byte](uint8_t b) { return b == byte; });
    };
    while (reserved(0) || reserved(0xff)) {
        fill_random(id);
        std::copy(prefix.begin(), prefix.end(), id.begin());
    }
    return id;
}

template <typename T>
T random_number(const FillRandom& fill_random) {
    std::array<uint8_t, sizeof(T)> bytes{};
    fill_random(bytes);
    T value = 0;
    for (const uint8_t byte : bytes)
        value = static_cast<T>(value << 8 | byte);
    return value;
}

}  // namespace

const char* to_string(Counter counter) noexcept {
    static constexpr auto kNames = names_of<kNbCounters>(
        {"packets_sent", "bytes_sent", "packets_received", "bytes_received", "updates_sent",
         "updates_received", "seqno_requests_forwarded", "unknown_interface", "bad_source",
         "over_rate", "malformed", "bad_mac", "replayed", "tlvs_ignored", "too_many_neighbors",
         "prefixes_refused", "prefixes_of_our_network"});
    return kNames[static_cast<size_t>(counter)];
}

InterfaceOptions InterfaceOptions::tunnel(const IpAddress& ours, const IpAddress& peer,
                                          Announce announce) {
    InterfaceOptions options;
    options.address = ours;
    options.peer = peer;
    options.announce = announce;
    options.hello_interval = std::chrono::seconds{2};
    options.update_interval = std::chrono::seconds{60};
    options.cost = CostOptions::tunnel();
    options.acknowledged_updates = true;
    options.max_neighbors = 1;
    return options;
}

Speaker::Impl::Impl(SpeakerOptions given) : options{std::move(given)} {
    MG_ASSERT(options.fill_random);
    router_id = options.router_id ? *options.router_id
                                  : random_router_id(options.fill_random, options.router_id_prefix);
    seqno = random_number<uint16_t>(options.fill_random);
    jitter.seed(random_number<uint32_t>(options.fill_random));
}

Interface* Speaker::Impl::find_interface(InterfaceId id) {
    const auto found = interfaces.find(id);
    return found == interfaces.end() ? nullptr : &found->second;
}

Duration Speaker::Impl::jittered(Duration duration) {
    return std::chrono::duration_cast<Duration>(duration * (0.9 + 0.1 * random_0_to_1()));
}

void Speaker::Impl::alarm(Event::Kind kind, const NeighborId& neighbor, const Prefix& prefix,
                          Time now) {
    if (alarmed.size() >= kMaxAlarmed)
        std::erase_if(alarmed, [now](const auto& entry) { return entry.second <= now; });
    if (alarmed.size() >= kMaxAlarmed)
        return;  // so many alarms are heard without this one
    Time& quiet_until = alarmed[{neighbor, prefix}];
    if (quiet_until > now)
        return;
    quiet_until = now + kAlarmQuiet;
    events.push_back({kind, neighbor, prefix});
}

// Enters the interface into the schedule at the next time it has something to do.
void Speaker::Impl::reschedule(Interface& interface) {
    Time next = std::min({interface.next_hello, interface.flush_at, interface.next_dump});
    for (const Unacknowledged& waiting : interface.unacknowledged)
        next = std::min(next, waiting.deadline);
    for (const auto& [address, neighbor] : interface.neighbors) {
        for (const HelloHistory& hello : neighbor.hellos)
            next = std::min(next, hello.next_due());
        next = std::min({next, neighbor.next_probe, neighbor.doubted_until});
        if (neighbor.txcost != kInfinity)
            next = std::min(next, neighbor.ihu_expires);
    }
    if (next == interface.scheduled)
        return;
    schedule.erase({interface.scheduled, interface.id});
    interface.scheduled = next;
    schedule.insert({next, interface.id});
}

void Speaker::Impl::tick(Time now) {
    if (now >= next_sweep) {
        sweep(now);
        next_sweep = now + kSweepInterval;
    }
    // Each interface once: work that became due meanwhile is done at the next call.
    std::vector<InterfaceId> due;
    for (const auto& [when, id] : schedule) {
        if (when > now)
            break;
        due.push_back(id);
    }
    for (const InterfaceId id : due) {
        Interface& interface = *find_interface(id);
        for (auto& [address, neighbor] : interface.neighbors)
            check_neighbor(neighbor, now);
        if (interface.next_hello <= now)
            send_hello(interface, now);
        if (interface.next_dump <= now)
            dump_slice(interface, now);
        resend(interface, now);
        if (interface.flush_at <= now)
            flush(interface, now);
    }
    for (const InterfaceId id : due)
        reschedule(*find_interface(id));
}

void Speaker::Impl::sweep(Time now) {
    for (auto& [id, interface] : interfaces) {
        interface.authentication.sweep(now);
        remove_lost_neighbors(interface, now);
        for (auto& [address, neighbor] : interface.neighbors)
            std::erase_if(neighbor.interests, [now](const auto& e) { return e.second <= now; });
    }
    sweep_routes(now);
    sweep_requests(now);
    ask_wanted(now);
    sources.sweep(now);
    std::erase_if(alarmed, [now](const auto& entry) { return entry.second <= now; });
}

// ---- the public face ----

Speaker::Speaker(SpeakerOptions options) : impl_{std::make_unique<Impl>(std::move(options))} {}
Speaker::~Speaker() = default;

bool Speaker::add_interface(InterfaceId id, const InterfaceOptions& options,
                            std::vector<MacKey> keys, Time now) {
    if (impl_->interfaces.contains(id))
        return false;
    Interface interface {
        .id = id, .options = options,
        .authentication = Authentication{std::move(keys), impl_->options.fill_random},
        .hello_seqno = random_number<uint16_t>(impl_->options.fill_random), .next_hello = now,
        .next_dump = now + impl_->jittered(options.update_interval)
    };
    const auto at = impl_->interfaces.emplace(id, std::move(interface)).first;
    if (impl_->next_sweep == kNever)
        impl_->next_sweep = now + kSweepInterval;
    if (!at->second.options.peer)  // on a link the peer is asked when it appears
        at->second.multicast.emplace_back(RouteRequest{});
    impl_->flush_by(at->second, now);
    impl_->schedule.insert({kNever, id});
    impl_->reschedule(at->second);
    return true;
}

void Speaker::remove_interface(InterfaceId id, Time now) {
    Interface* interface = impl_->find_interface(id);
    if (interface == nullptr)
        return;
    while (!interface->neighbors.empty())
        impl_->remove_neighbor(interface->neighbors.begin()->second, now);
    impl_->schedule.erase({interface->scheduled, id});
    impl_->interfaces.erase(id);
}

void Speaker::set_hello_interval(InterfaceId id, Duration interval, Time now) {
    Interface* interface = impl_->find_interface(id);
    if (interface == nullptr || interface->options.hello_interval == interval)
        return;
    interface->options.hello_interval = interval;
    interface->next_hello = now;
    impl_->reschedule(*interface);
}

void Speaker::doubt(InterfaceId id, Time now) {
    Interface* interface = impl_->find_interface(id);
    if (interface == nullptr)
        return;
    for (auto& [address, neighbor] : interface->neighbors)
        impl_->doubt(neighbor, now);
    impl_->reschedule(*interface);
}

void Speaker::set_cost(InterfaceId id, const CostOptions& cost, Time now) {
    Interface* interface = impl_->find_interface(id);
    if (interface == nullptr)
        return;
    interface->options.cost = cost;
    for (auto& [address, neighbor] : interface->neighbors)
        impl_->update_costs(neighbor, now);
    interface->next_hello = now;  // neighbours hear of it
    impl_->reschedule(*interface);
}

void Speaker::set_announce(InterfaceId id, Announce announce, Time now) {
    Interface* interface = impl_->find_interface(id);
    if (interface == nullptr || interface->options.announce == announce)
        return;
    std::set<Prefix> concerned;
    const auto collect = [&] {
        const auto add = [&](const Prefix& prefix) {
            if (impl_->announces(*interface, prefix))
                concerned.insert(prefix);
        };
        for (const auto& [prefix, mine] : impl_->own)
            add(prefix);
        for (const auto& [prefix, destination] : impl_->destinations)
            add(prefix);
    };
    collect();
    interface->options.announce = announce;
    collect();
    for (const Prefix& prefix : concerned)
        impl_->trigger_on(*interface, prefix, true, now);
}

void Speaker::on_policy_changed(Time now) {
    for (auto& [id, interface] : impl_->interfaces) {
        for (auto& [address, neighbor] : interface.neighbors) {
            const std::set<Prefix> prefixes = neighbor.prefixes;
            for (const Prefix& prefix : prefixes) {
                if (impl_->options.policy &&
                    !impl_->options.policy->may_announce(neighbor.id, prefix))
                    impl_->remove_route(prefix, neighbor, now);
            }
            impl_->queue(neighbor, RouteRequest{}, impl_->flush_time(now));
        }
        interface.next_dump = now;
        interface.cursor.reset();
        interface.dump_in_haste = true;
        impl_->reschedule(interface);
    }
}

void Speaker::retract(InterfaceId id, const Prefix& prefix, Time now) {
    Interface* interface = impl_->find_interface(id);
    if (interface != nullptr && !impl_->announces(*interface, prefix.network()))
        impl_->trigger_on(*interface, prefix.network(), true, now);
}

void Speaker::originate(const Prefix& prefix, Scope scope, Time now, uint16_t metric) {
    const Prefix network = prefix.network();
    impl_->own[network] = {scope, metric};
    impl_->select(network, now);
    impl_->trigger(network, true, now);
}

void Speaker::withdraw(const Prefix& prefix, Time now) {
    const Prefix network = prefix.network();
    if (!impl_->own.contains(network))
        return;
    impl_->trigger(network, true, now);  // where it was announced; what there is to say comes later
    impl_->own.erase(network);
    impl_->select(network, now);
}

void Speaker::want(const Prefix& prefix, Time now) {
    if (impl_->wanted.try_emplace(prefix.network(), now).second)
        impl_->ask_wanted(now);
}

void Speaker::unwant(const Prefix& prefix) {
    impl_->wanted.erase(prefix.network());
}

void Speaker::receive(const Datagram& datagram, Time now) {
    impl_->receive(datagram, now);
}

void Speaker::tick(Time now) {
    impl_->tick(now);
}

Time Speaker::next_deadline() const noexcept {
    const Time first = impl_->schedule.empty() ? kNever : impl_->schedule.begin()->first;
    return std::min(first, impl_->next_sweep);
}

void Speaker::shutdown() {
    for (auto& [id, interface] : impl_->interfaces) {
        interface.pending.clear();
        PacketWriter writer = impl_->writer_for(interface);
        const Update goodbye{.interval_cs = to_cs(interface.options.update_interval),
                             .seqno = impl_->seqno};
        (void)writer.add(goodbye, interface.options.address);
        impl_->send_packet(interface, writer, interface.options.peer.value_or(multicast_group()));
        interface.next_hello = interface.next_dump = interface.flush_at = kNever;
        interface.unacknowledged.clear();
        impl_->reschedule(interface);
    }
}

std::vector<Outgoing> Speaker::take_packets() {
    return std::exchange(impl_->packets, {});
}
std::vector<RouteChange> Speaker::take_route_changes() {
    return std::exchange(impl_->changes, {});
}
std::vector<Event> Speaker::take_events() {
    return std::exchange(impl_->events, {});
}

const RouterId& Speaker::router_id() const noexcept {
    return impl_->router_id;
}
uint16_t Speaker::seqno() const noexcept {
    return impl_->seqno;
}

std::vector<NeighborView> Speaker::neighbors() const {
    std::vector<NeighborView> views;
    for (const auto& [id, interface] : impl_->interfaces) {
        for (const auto& [address, neighbor] : interface.neighbors) {
            views.push_back({.id = neighbor.id,
                             .up = neighbor.cost != kInfinity,
                             .hello_interval = neighbor.hello().interval(),
                             .loss = neighbor.hello().loss(),
                             .rtt_known = neighbor.rtt.known(),
                             .rtt_p50_us = neighbor.rtt.p50_us(),
                             .rtt_jitter_us = neighbor.rtt.jitter_us(),
                             .rxcost = neighbor.told_rxcost,
                             .txcost = neighbor.txcost,
                             .cost = neighbor.cost,
                             .last_heard = neighbor.last_heard,
                             .nb_routes = neighbor.prefixes.size()});
        }
    }
    return views;
}

std::vector<RouteView> Speaker::routes() const {
    std::vector<RouteView> views;
    for (const auto& [prefix, destination] : impl_->destinations) {
        for (const Route& route : destination.routes)
            views.push_back(impl_->view(prefix, destination, route));
    }
    return views;
}

std::vector<RouteView> Speaker::routes(const Prefix& prefix) const {
    std::vector<RouteView> views;
    const auto found = impl_->destinations.find(prefix);
    if (found == impl_->destinations.end())
        return views;
    for (const Route& route : found->second.routes)
        views.push_back(impl_->view(prefix, found->second, route));
    return views;
}

std::optional<RouteView> Speaker::selected(const Prefix& prefix) const {
    const auto found = impl_->destinations.find(prefix);
    if (found == impl_->destinations.end())
        return std::nullopt;
    const Route* route = found->second.find(found->second.selected);
    return route == nullptr ? std::nullopt
                            : std::optional{impl_->view(prefix, found->second, *route)};
}

uint64_t Speaker::counter(Counter counter) const noexcept {
    return impl_->counters[static_cast<size_t>(counter)];
}

size_t Speaker::nb_sources() const noexcept {
    return impl_->sources.size();
}

}  // namespace meshgate::babel
