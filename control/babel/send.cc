// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "control/babel/speaker_impl.h"

namespace meshgate::babel {

namespace {

// Triggered updates wait this long for others to share their packet; RFC 8966 allows 0.2 s.
constexpr double kFlushDelayMs = 10;
constexpr unsigned kMaxTries = 4;  // transmissions of an update that wants an acknowledgement
constexpr uint16_t kAckCs = 10;    // for the acknowledgement, in 10 ms
constexpr size_t kAckRequestLen = 8;
constexpr size_t kDumpSlice = 64;
// Between slices of a full update that a new neighbour waits for.
constexpr Duration kHastySlice = std::chrono::milliseconds{20};

uint32_t clock_us(Time now) noexcept {
    return static_cast<uint32_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count());
}

bool anybody_there(const Interface& interface) noexcept {
    return std::any_of(interface.neighbors.begin(), interface.neighbors.end(),
                       [](const auto& entry) { return entry.second.receiving; });
}

}  // namespace

Time Speaker::Impl::flush_time(Time now) {
    return now + std::chrono::duration_cast<Duration>(
                     std::chrono::duration<double, std::milli>{kFlushDelayMs * random_0_to_1()});
}

void Speaker::Impl::flush_by(Interface& interface, Time at) {
    interface.flush_at = std::min(interface.flush_at, at);
    reschedule(interface);
}

void Speaker::Impl::queue(Neighbor& neighbor, Tlv tlv, Time at) {
    neighbor.unicast.push_back(std::move(tlv));
    flush_by(*neighbor.interface, at);
}

bool Speaker::Impl::announces(const Interface& interface, const Prefix& prefix) const {
    const auto mine = own.find(prefix);
    if (options.policy && !options.policy->may_export(interface.id, prefix, mine != own.end()))
        return false;
    if (mine != own.end())
        return mine->second.scope == Scope::everywhere ||
               interface.options.announce == Announce::aggregates;
    switch (interface.options.announce) {
        case Announce::own_only:
            return false;
        case Announce::aggregates:
            return std::any_of(
                interface.neighbors.begin(), interface.neighbors.end(),
                [&prefix](const auto& entry) { return entry.second.interests.contains(prefix); });
        case Announce::everything:
            return true;
    }
    return false;
}

// An update on every interface whose neighbours it concerns, soon.
void Speaker::Impl::trigger(const Prefix& prefix, bool acknowledged, Time now) {
    for (auto& [id, interface] : interfaces) {
        if (anybody_there(interface) && announces(interface, prefix))
            trigger_on(interface, prefix, acknowledged, now);
    }
}

void Speaker::Impl::trigger_on(Interface& interface, const Prefix& prefix, bool acknowledged,
                               Time now) {
    PendingUpdate& update = interface.pending[prefix];
    update.triggered = true;
    update.acknowledged |= acknowledged;
    flush_by(interface, flush_time(now));
}

// Hello and IHU travel together: RFC 9616 needs both, and BIRD wants the first of the multicast
// kind.
void Speaker::Impl::send_hello(Interface& interface, Time now) {
    const bool unicast = interface.options.peer.has_value();
    const uint16_t interval_cs = to_cs(interface.options.hello_interval);
    Hello hello{.kind = unicast ? HelloKind::unicast : HelloKind::multicast,
                .seqno = ++interface.hello_seqno,
                .interval_cs = interval_cs,
                .transmit_us = std::nullopt};
    if (interface.options.timestamps)
        hello.transmit_us = clock_us(now);
    std::vector<Tlv> tlvs{hello};
    for (auto& [address, neighbor] : interface.neighbors) {
        neighbor.told_rxcost = rxcost(neighbor);
        Ihu ihu{.address = address,
                .rxcost = neighbor.told_rxcost,
                .interval_cs = to_cs(interface.options.hello_interval * 3),
                .timestamps = std::nullopt};
        if (unicast)
            ihu.address.reset();  // one receiver: it knows that it is meant
        if (interface.options.timestamps)
            ihu.timestamps = neighbor.timestamps;
        tlvs.emplace_back(ihu);
    }
    interface.multicast.insert(interface.multicast.begin(), tlvs.begin(), tlvs.end());
    interface.next_hello = now + jittered(interface.options.hello_interval);
    interface.flush_at = now;
}

// Enters a part of the table into the pending updates: all at once would be a burst.
void Speaker::Impl::dump_slice(Interface& interface, Time now) {
    const Duration cycle = jittered(interface.options.update_interval);
    if (!anybody_there(interface)) {
        interface.next_dump = now + cycle;
        interface.cursor.reset();
        return;
    }
    const auto add = [&](const Prefix& prefix) {
        if (announces(interface, prefix))
            interface.pending[prefix].acknowledged |= interface.options.acknowledged_updates;
    };
    if (!interface.cursor) {
        interface.dump_started = now;
        for (const auto& [prefix, mine] : own)
            add(prefix);
        for (const auto& [address, neighbor] : interface.neighbors) {
            for (const auto& [prefix, until] : neighbor.interests)
                add(prefix);
        }
    }
    flush_by(interface, flush_time(now));
    if (interface.options.announce == Announce::everything) {
        auto at =
            interface.cursor ? destinations.upper_bound(*interface.cursor) : destinations.begin();
        for (size_t i = 0; i < kDumpSlice && at != destinations.end(); ++i, ++at) {
            add(at->first);
            interface.cursor = at->first;
        }
        if (at != destinations.end()) {
            const auto part = std::chrono::duration_cast<Duration>(
                cycle * (double{kDumpSlice} / static_cast<double>(destinations.size())));
            interface.next_dump = now + (interface.dump_in_haste ? kHastySlice : part);
            return;
        }
    }
    interface.cursor.reset();
    interface.dump_in_haste = false;
    interface.next_dump = std::max(interface.dump_started + cycle, now + cycle / 4);
}

// Gives updates that were not acknowledged in time another try.
void Speaker::Impl::resend(Interface& interface, Time now) {
    for (auto at = interface.unacknowledged.begin(); at != interface.unacknowledged.end();) {
        if (at->deadline > now) {
            ++at;
            continue;
        }
        const bool missed =
            std::any_of(at->waiting.begin(), at->waiting.end(), [&interface](const IpAddress& who) {
                const Neighbor* neighbor = interface.find(who);
                return neighbor != nullptr && neighbor->receiving;
            });
        if (missed && at->nb_tries + 1 < kMaxTries) {
            for (const Prefix& prefix : at->prefixes) {
                PendingUpdate& update = interface.pending[prefix];
                update.acknowledged = update.triggered = true;
                update.nb_tries = std::max(update.nb_tries, at->nb_tries + 1);
            }
            interface.flush_at = now;
        }
        at = interface.unacknowledged.erase(at);
    }
}

// What there is to say about a prefix now; empty: nothing.
std::optional<Update> Speaker::Impl::make_update(Interface& interface, const Prefix& prefix,
                                                 bool triggered, Time now) {
    Update update{.prefix = prefix,
                  .interval_cs = to_cs(interface.options.update_interval),
                  .router_id = std::nullopt,
                  .next_hop = std::nullopt};
    const bool ours = announces(interface, prefix);
    IpAddress next_hop = interface.options.address;
    if (prefix.address.is_v4() && interface.options.ipv4)
        next_hop = *interface.options.ipv4;
    if (const auto mine = own.find(prefix); ours && mine != own.end()) {
        update.seqno = seqno;
        update.metric = mine->second.metric;
        update.router_id = router_id;
        update.next_hop = next_hop;
        return update;
    }
    const std::optional<Update> retraction = triggered ? std::optional{update} : std::nullopt;
    const auto at = destinations.find(prefix);
    if (!ours || at == destinations.end())
        return retraction;
    Destination& destination = at->second;
    const Route* route = destination.find(destination.selected);
    if (route == nullptr)
        return destination.hold ? std::optional{update} : retraction;
    // Split horizon; a neighbour that has it from us still hears that it is no longer so.
    if (interface.options.split_horizon && route->via->interface == &interface)
        return retraction;
    update.seqno = route->seqno;
    update.metric = route->metric();
    update.router_id = route->router_id;
    update.next_hop = next_hop;
    sources.announced({prefix, route->router_id}, update.seqno, update.metric, now);
    return update;
}

PacketWriter Speaker::Impl::writer_for(const Interface& interface) const {
    return PacketWriter{interface.options.max_packet_len - interface.authentication.overhead() -
                        kAckRequestLen};
}

void Speaker::Impl::send_packet(Interface& interface, PacketWriter& writer,
                                const IpAddress& destination) {
    if (writer.empty())
        return;
    if (interface.authentication.enabled())
        writer.add_last(interface.authentication.next_counter(), interface.options.address);
    Outgoing packet{.interface = interface.id,
                    .flow = {{interface.options.address, kPort}, {destination, kPort}},
                    .bytes = writer.finish()};
    interface.authentication.seal(packet.bytes, packet.flow);
    count(Counter::packets_sent);
    count(Counter::bytes_sent, packet.bytes.size());
    packets.push_back(std::move(packet));
}

void Speaker::Impl::send_alone(Interface& interface, const IpAddress& destination, const Tlv& tlv) {
    PacketWriter writer = writer_for(interface);
    (void)writer.add(tlv, interface.options.address);
    send_packet(interface, writer, destination);
}

// Pending updates, to everybody; a packet with one that must not get lost asks for an answer.
void Speaker::Impl::send_updates(Interface& interface, PacketWriter& writer, Time now) {
    const IpAddress everybody = interface.options.peer.value_or(multicast_group());
    Unacknowledged sent;
    bool acknowledged = false;
    const auto finish = [&] {
        if (acknowledged) {
            sent.nonce = ++interface.last_nonce;
            if (sent.nonce == 0)  // the probes' nonce
                sent.nonce = ++interface.last_nonce;
            uint32_t rtt_us = 0;
            for (const auto& [address, neighbor] : interface.neighbors) {
                if (neighbor.receiving)
                    sent.waiting.insert(address);
                rtt_us = std::max(rtt_us, neighbor.rtt.p50_us());
            }
            sent.deadline = now + from_cs(2 * kAckCs) +
                            std::chrono::microseconds{uint64_t{4} * std::min(rtt_us, 500'000U)};
            writer.add_last(AckRequest{sent.nonce, kAckCs}, interface.options.address);
            if (!sent.waiting.empty())
                interface.unacknowledged.push_back(std::move(sent));
        }
        send_packet(interface, writer, everybody);
        sent = {};
        acknowledged = false;
    };
    const auto pending = std::exchange(interface.pending, {});
    if (!anybody_there(interface) && interface.options.peer)
        return finish();
    for (const auto& [prefix, wish] : pending) {
        const auto update = make_update(interface, prefix, wish.triggered, now);
        if (!update)
            continue;
        if (!writer.add(*update, interface.options.address)) {
            finish();
            (void)writer.add(*update, interface.options.address);
        }
        count(Counter::updates_sent);
        if (!wish.acknowledged)
            continue;
        acknowledged = true;
        sent.nb_tries = std::max(sent.nb_tries, wish.nb_tries);
        sent.prefixes.push_back(prefix);
        if (update->metric == kInfinity)
            sent.retracted.push_back(prefix);
    }
    finish();
}

void Speaker::Impl::flush(Interface& interface, Time now) {
    interface.flush_at = kNever;
    const IpAddress& source = interface.options.address;
    PacketWriter writer = writer_for(interface);
    const auto add = [&](const Tlv& tlv, const IpAddress& destination) {
        if (writer.add(tlv, source))
            return;
        send_packet(interface, writer, destination);
        (void)writer.add(tlv, source);
    };
    const IpAddress everybody = interface.options.peer.value_or(multicast_group());
    const auto multicast = std::exchange(interface.multicast, {});
    for (const Tlv& tlv : multicast)
        add(tlv, everybody);
    if (interface.options.peer) {  // one receiver: everything in one packet
        for (auto& [address, neighbor] : interface.neighbors) {
            const auto unicast = std::exchange(neighbor.unicast, {});
            for (const Tlv& tlv : unicast)
                add(tlv, everybody);
        }
    }
    send_updates(interface, writer, now);
    for (auto& [address, neighbor] : interface.neighbors) {
        const auto unicast = std::exchange(neighbor.unicast, {});
        for (const Tlv& tlv : unicast)
            add(tlv, address);
        send_packet(interface, writer, address);
    }
}

}  // namespace meshgate::babel
