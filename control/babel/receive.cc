// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "control/babel/speaker_impl.h"

namespace meshgate::babel {

namespace {

constexpr auto kDumpInterval =
    std::chrono::seconds{1};  // between full updates to a neighbour that keeps asking
constexpr auto kSuppressRequest =
    std::chrono::seconds{1};  // the same request again is not forwarded
// How long a forwarded seqno request waits for its update.
constexpr auto kForwardedLife = std::chrono::seconds{12};
constexpr size_t kMaxForwarded = 4096;  // seqno requests under way for others
constexpr size_t kMaxInterests = 1024;  // prefixes that a stub may ask to be kept informed of

uint32_t clock_us(Time now) noexcept {
    return static_cast<uint32_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count());
}

// Not a destination of anybody's route.
bool is_martian(const Prefix& prefix) noexcept {
    if (prefix.len == 0)
        return false;  // the default route
    const IpAddress& first = prefix.address;
    if (first.is_multicast() || first.is_loopback() || first.is_link_local())
        return true;
    return first.is_v4() ? first.bytes[0] == 0 || first.bytes[0] >= 240 : first.is_unspecified();
}

}  // namespace

// The packet's way: interface, source, MAC, header, then TLV by TLV.
void Speaker::Impl::receive(const Datagram& datagram, Time now) {
    Interface* interface = find_interface(datagram.interface);
    if (interface == nullptr)
        return count(Counter::unknown_interface);
    const Endpoint& source = datagram.flow.source;
    if (source.address == interface->options.address)
        return;  // our own multicast, come back
    if (!source.address.is_v6() || !source.address.is_link_local() || source.port != kPort ||
        (interface->options.peer && source.address != *interface->options.peer))
        return count(Counter::bad_source);
    if (!interface->rate.take(now))
        return count(Counter::over_rate);
    const auto decoded = decode(datagram.bytes, source.address);
    if (!decoded)
        return count(Counter::malformed);

    const auto outcome = interface->authentication.open(datagram.bytes, datagram.flow, now);
    if (outcome.reply)
        send_alone(*interface, source.address, *outcome.reply);
    if (outcome.challenge)
        send_alone(*interface, source.address, *outcome.challenge);
    using Verdict = Authentication::Verdict;
    if (outcome.verdict == Verdict::replayed || outcome.verdict == Verdict::challenged)
        return count(Counter::replayed);
    if (outcome.verdict != Verdict::accepted) {
        alarm(Event::Kind::sender_refused, {interface->id, {}}, {}, now);
        return count(Counter::bad_mac);
    }

    count(Counter::packets_received);
    count(Counter::bytes_received, datagram.bytes.size());
    count(Counter::tlvs_ignored, decoded->nb_ignored);
    Neighbor* neighbor = neighbor_for(*interface, source.address, *decoded, now);
    if (neighbor == nullptr)
        return;
    neighbor->last_heard = now;
    std::optional<uint32_t> sent_us;
    std::optional<Ihu::Timestamps> echoed;
    for (const Tlv& tlv : decoded->tlvs) {
        if (const auto* hello = std::get_if<Hello>(&tlv)) {
            on_hello(*neighbor, *hello, now);
            sent_us = hello->transmit_us;
        } else if (const auto* ihu = std::get_if<Ihu>(&tlv)) {
            if (ihu->address && *ihu->address != interface->options.address)
                continue;
            on_ihu(*neighbor, *ihu, now);
            echoed = ihu->timestamps;
        } else if (const auto* request = std::get_if<AckRequest>(&tlv)) {
            queue(*neighbor, Ack{request->nonce}, now);
        } else if (const auto* ack = std::get_if<Ack>(&tlv)) {
            on_ack(*neighbor, *ack);
        } else if (const auto* update = std::get_if<Update>(&tlv)) {
            on_update(*neighbor, *update, now);
        } else if (const auto* wish = std::get_if<RouteRequest>(&tlv)) {
            on_route_request(*neighbor, *wish, now);
        } else if (const auto* wish_seqno = std::get_if<SeqnoRequest>(&tlv)) {
            on_seqno_request(*neighbor, *wish_seqno, now);
        }
    }
    // Both in one packet: the time the neighbour kept our Hello is known (RFC 9616 section 3.2).
    if (interface->options.timestamps && sent_us) {
        const uint32_t now_us = clock_us(now);
        neighbor->timestamps = {*sent_us, now_us};
        if (echoed) {
            const auto away = static_cast<int32_t>(now_us - echoed->origin_us);
            const auto kept = static_cast<int32_t>(*sent_us - echoed->receive_us);
            if (kept >= 0)
                neighbor->rtt.sample(int64_t{away} - kept);
        }
    }
    update_costs(*neighbor, now);
    reschedule(*interface);
}

// Whoever says Hello becomes a neighbour.
Neighbor* Speaker::Impl::neighbor_for(Interface& interface, const IpAddress& address,
                                      const Decoded& decoded, Time now) {
    Neighbor* neighbor = interface.find(address);
    if (neighbor != nullptr)
        return neighbor;
    const bool greets = std::any_of(decoded.tlvs.begin(), decoded.tlvs.end(), [](const Tlv& tlv) {
        return std::holds_alternative<Hello>(tlv);
    });
    if (!greets)
        return nullptr;
    if (interface.neighbors.size() >= interface.options.max_neighbors) {
        count(Counter::too_many_neighbors);
        return nullptr;
    }
    neighbor = &interface.neighbors[address];
    neighbor->id = {interface.id, address};
    neighbor->interface = &interface;
    neighbor->last_heard = now;
    interface.next_hello = now;  // it need not wait to hear us
    return neighbor;
}

void Speaker::Impl::on_hello(Neighbor& neighbor, const Hello& hello, Time now) {
    if (hello.interval_cs == 0)
        return;  // unscheduled: says that it lives, which last_heard knows
    const bool unknown = std::ranges::none_of(neighbor.hellos, &HelloHistory::any_seen);
    HelloHistory& history = neighbor.hellos[hello.kind == HelloKind::unicast ? 1 : 0];
    const bool restarted = history.restarts_with(hello.seqno);
    history.heard(hello.seqno, hello.interval_cs, now);
    // It restarted, or we missed its updates: its routes are retracted until it has sent a full
    // update. Stale ones could lead back through us and be preferred for ever, since split horizon
    // hides from it what we have over it.
    if ((restarted || unknown) && !neighbor.prefixes.empty()) {
        retract_all(neighbor, now);
        queue(neighbor, RouteRequest{}, flush_time(now));
    }
    neighbor.suspected_at = neighbor.next_probe = kNever;
}

void Speaker::Impl::on_ihu(Neighbor& neighbor, const Ihu& ihu, Time now) {
    if (ihu.interval_cs == 0)
        return count(Counter::tlvs_ignored);
    neighbor.txcost = ihu.rxcost;
    neighbor.ihu_expires = now + from_cs(ihu.interval_cs) * 7 / 2;
}

void Speaker::Impl::on_ack(Neighbor& neighbor, const Ack& ack) {
    Interface& interface = *neighbor.interface;
    const auto found =
        std::find_if(interface.unacknowledged.begin(), interface.unacknowledged.end(),
                     [&ack](const auto& sent) { return sent.nonce == ack.nonce; });
    if (found == interface.unacknowledged.end())
        return;
    for (const Prefix& prefix : found->retracted) {
        const auto at = destinations.find(prefix);
        if (at == destinations.end() || !at->second.hold)
            continue;
        auto& waiting = at->second.hold->waiting;
        if (waiting.erase(neighbor.id) > 0 && waiting.empty())
            end_hold(prefix);
    }
    found->waiting.erase(neighbor.id.address);
    if (found->waiting.empty())
        interface.unacknowledged.erase(found);
}

void Speaker::Impl::on_update(Neighbor& neighbor, const Update& update, Time now) {
    count(Counter::updates_received);
    if (!update.prefix)
        return retract_all(neighbor, now);
    if (is_martian(*update.prefix) || (update.metric != kInfinity && update.interval_cs == 0))
        return count(Counter::tlvs_ignored);
    if (options.policy && !options.policy->may_announce(neighbor.id, *update.prefix)) {
        // Nothing of it is here; or it is our own announcement, come back.
        if (update.metric == kInfinity || update.router_id == router_id)
            return;
        if (options.policy->is_of_our_network(*update.router_id))
            return count(Counter::prefixes_of_our_network);
        count(Counter::prefixes_refused);
        return alarm(Event::Kind::prefix_refused, neighbor.id, *update.prefix, now);
    }
    // Our own announcement, come back: its sender has no way of its own any more.
    Update seen = update;
    if (seen.router_id == router_id)
        seen.metric = kInfinity;
    store_route(neighbor, seen, now);
}

// RFC 8966 section 3.8.1.1.
void Speaker::Impl::on_route_request(Neighbor& neighbor, const RouteRequest& request, Time now) {
    Interface& interface = *neighbor.interface;
    if (!request.prefix) {
        interface.next_dump = std::max(now, neighbor.next_dump_allowed);
        neighbor.next_dump_allowed = interface.next_dump + kDumpInterval;
        interface.cursor.reset();
        interface.dump_in_haste = true;
        return;
    }
    if (interface.options.announce == Announce::aggregates &&
        (neighbor.interests.contains(*request.prefix) || neighbor.interests.size() < kMaxInterests))
        neighbor.interests[*request.prefix] = now + interface.options.update_interval * 7 / 2;
    trigger_on(interface, *request.prefix, false, now);
}

// RFC 8966 section 3.8.1.2.
void Speaker::Impl::on_seqno_request(Neighbor& neighbor, const SeqnoRequest& request, Time now) {
    Interface& interface = *neighbor.interface;
    if (own.contains(request.prefix)) {
        if (request.router_id == router_id && seqno_less(seqno, request.seqno))
            ++seqno;  // by one, whatever was asked for
        return trigger_on(interface, request.prefix, true, now);
    }
    const auto at = destinations.find(request.prefix);
    if (at == destinations.end() || !announces(interface, request.prefix))
        return;
    Destination& destination = at->second;
    const Route* selected = destination.find(destination.selected);
    if (selected != nullptr &&
        (selected->router_id != request.router_id || !seqno_less(selected->seqno, request.seqno)))
        return trigger_on(interface, request.prefix, true, now);
    if (request.router_id == router_id || request.hop_count < 2)
        return;

    const Source source{request.prefix, request.router_id};
    const auto known = forwarded.find(source);
    if (known != forwarded.end() && !seqno_less(known->second.seqno, request.seqno)) {
        known->second.requesters.insert(interface.id);
        if (now < known->second.suppress_until)
            return;  // redundant
    }
    Route* to = nullptr;
    for (Route& route : destination.routes) {
        if (route.via == &neighbor || route.via->cost == kInfinity)
            continue;
        if (to == nullptr || (feasible(request.prefix, route) && !feasible(request.prefix, *to)) ||
            (feasible(request.prefix, route) == feasible(request.prefix, *to) &&
             route.metric() < to->metric()))
            to = &route;
    }
    if (to == nullptr || (known == forwarded.end() && forwarded.size() >= kMaxForwarded))
        return;
    Forwarded& entry = forwarded[source];
    entry.seqno = request.seqno;
    entry.requesters.insert(interface.id);
    entry.suppress_until = now + kSuppressRequest;
    entry.expires = now + kForwardedLife;
    SeqnoRequest onward = request;
    --onward.hop_count;
    count(Counter::seqno_requests_forwarded);
    queue(*to->via, onward, now);
}

}  // namespace meshgate::babel
