// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/world/underlay.h"

#include <algorithm>

namespace meshgate::control::world {

namespace {

// RFC 4787 asks for two minutes; many give half a minute.
constexpr uint64_t kMappingLifeNs = 30'000'000'000;

}  // namespace

const char* to_string(NatKind kind) noexcept {
    switch (kind) {
        case NatKind::none:
            return "none";
        case NatKind::cone:
            return "cone";
        case NatKind::restricted:
            return "restricted";
        case NatKind::symmetric:
            return "symmetric";
        case NatKind::firewall:
            return "firewall";
    }
    return "?";
}

// ---- NAT ----

Nat::Mapping* Nat::find(const Endpoint& inside, const Endpoint& remote, uint64_t now_ns) {
    std::erase_if(mappings_, [now_ns](const Mapping& mapping) {
        return mapping.used_ns + kMappingLifeNs < now_ns;
    });
    const auto found = std::ranges::find_if(mappings_, [&](const Mapping& mapping) {
        return mapping.inside == inside &&
               (kind_ != NatKind::symmetric || mapping.remote == remote);
    });
    return found == mappings_.end() ? nullptr : &*found;
}

Endpoint Nat::outbound(const Endpoint& inside, const Endpoint& remote, uint64_t now_ns) {
    Mapping* mapping = find(inside, remote, now_ns);
    if (mapping == nullptr) {
        mapping = &mappings_.emplace_back();
        mapping->inside = inside;
        mapping->remote = remote;
        mapping->port = kind_ == NatKind::firewall ? inside.port : next_port_++;
    }
    mapping->used_ns = now_ns;
    mapping->sent_to[remote] = now_ns;
    return {kind_ == NatKind::firewall ? inside.address : outside_, mapping->port};
}

std::optional<Endpoint> Nat::holder(const Endpoint& outside) const {
    const auto found = std::ranges::find_if(mappings_, [&](const Mapping& mapping) {
        return mapping.port == outside.port &&
               (kind_ != NatKind::firewall || mapping.inside == outside);
    });
    if (found == mappings_.end())
        return std::nullopt;
    return found->inside;
}

std::optional<Endpoint> Nat::inbound(const Endpoint& outside, const Endpoint& remote,
                                     uint64_t now_ns) {
    for (Mapping& mapping : mappings_) {
        if (mapping.port != outside.port || mapping.used_ns + kMappingLifeNs < now_ns ||
            (kind_ == NatKind::firewall && mapping.inside != outside))
            continue;
        const bool expected = std::ranges::any_of(mapping.sent_to, [&](const auto& sent) {
            const bool same = kind_ == NatKind::cone ? sent.first.address == remote.address
                                                     : sent.first == remote;
            return same && sent.second + kMappingLifeNs >= now_ns;
        });
        if (expected)
            return mapping.inside;
    }
    return std::nullopt;
}

// ---- underlay ----

UplinkId Underlay::add(Uplink uplink) {
    uplinks.push_back(uplink);
    return uplinks.size() - 1;
}

Nat* Underlay::add_nat(NatKind kind, IpAddress outside) {
    return nats_.emplace_back(std::make_unique<Nat>(kind, outside)).get();
}

Wire Underlay::wire_of(UplinkId from, UplinkId to) const {
    const auto found = wires_.find({from, to});
    return found == wires_.end() ? Wire{} : found->second;
}

// Private addresses are only there for those behind the same NAT.
std::optional<UplinkId> Underlay::uplink_at(UplinkId from, const Endpoint& destination) const {
    const Nat* mine = uplinks[from].nat;
    for (UplinkId id = 0; id < uplinks.size(); ++id) {
        const Uplink& uplink = uplinks[id];
        if (destination.address.is_v6()) {
            if (uplink.v6 == destination.address)
                return id;
            continue;
        }
        const bool is_private = uplink.nat != nullptr && uplink.nat->outside() != uplink.v4;
        if (uplink.v4 == destination.address && (!is_private || uplink.nat == mine))
            return id;
        if (is_private && uplink.nat->outside() == destination.address) {
            const auto holder = uplink.nat->holder(destination);
            if (holder && holder->address == uplink.v4)
                return id;
        }
    }
    return std::nullopt;
}

std::optional<Underlay::Arrival> Underlay::send(UplinkId from, Datagram datagram, uint64_t now_ns) {
    const Uplink& uplink = uplinks[from];
    const auto to = uplink_at(from, datagram.destination);
    const bool v4 = datagram.destination.address.is_v4();
    const bool near =
        to && uplinks[*to].nat == uplink.nat && uplinks[*to].v4 == datagram.destination.address;
    if (v4 && uplink.nat != nullptr && !near)
        datagram.source = uplink.nat->outbound(datagram.source, datagram.destination, now_ns);
    if (!to || !uplink.plugged || !uplinks[*to].plugged)
        return std::nullopt;
    const Wire wire = wire_of(from, *to);
    std::uniform_real_distribution<double> chance{0, 1};
    const double stretch = wire.jitter == 0 ? 1 : 1 + wire.jitter * (2 * chance(random_) - 1);
    if (wire.cut || (wire.cut_v4 && v4) || (wire.loss > 0 && chance(random_) < wire.loss))
        return std::nullopt;
    const auto delay_ns = static_cast<double>(wire.delay.count()) * stretch;
    return Arrival{now_ns + static_cast<uint64_t>(delay_ns), from, std::move(datagram)};
}

std::optional<UplinkId> Underlay::arrive(const Arrival& arrival, Datagram& datagram,
                                         uint64_t now_ns) {
    const auto to = uplink_at(arrival.from, datagram.destination);
    if (!to || !uplinks[*to].plugged || wire_of(arrival.from, *to).cut)
        return std::nullopt;
    const Uplink& uplink = uplinks[*to];
    const bool near =
        uplinks[arrival.from].nat == uplink.nat && uplink.v4 == datagram.destination.address;
    if (uplink.nat == nullptr || near || datagram.destination.address.is_v6())
        return to;
    const auto inside = uplink.nat->inbound(datagram.destination, datagram.source, now_ns);
    if (!inside)
        return std::nullopt;
    datagram.destination = *inside;
    return to;
}

}  // namespace meshgate::control::world
