// SPDX-License-Identifier: Apache-2.0
#include "control/routing/rib.h"

#include <algorithm>

namespace meshgate::control {

namespace {

ForwardingEntry blackhole() {
    return {.kind = ForwardKind::blackhole};
}

void add_built_in(std::vector<RibRoute>& rib) {
    // RFC 4291, section 2.5.6; RFC 1122, section 3.2.1.3.
    for (const char* prefix : {"fe80::/10", "::1/128", "127.0.0.0/8", "0.0.0.0/8"})
        rib.push_back({*parse_prefix(prefix), blackhole(), RouteOrigin::built_in});
}

// The all-zero and all-one hosts of an IPv4 network are all of it (RFC 2644).
void add_broadcasts(std::vector<RibRoute>& rib, const Prefix& network) {
    if (!network.address.is_v4() || network.len > 30)
        return;
    const ForwardingEntry everybody{.kind = ForwardKind::broadcast};
    Prefix host{network.address, 32};
    rib.push_back({host, everybody, RouteOrigin::built_in});
    for (unsigned bit = network.len; bit < 32; ++bit)
        host.address.bytes[bit / 8] |= static_cast<uint8_t>(0x80U >> bit % 8);
    rib.push_back({host, everybody, RouteOrigin::built_in});
}

// Empty when no connected network holds `host`.
std::optional<PortId> lan_port_of(std::span<const config::Port> ports, const IpAddress& host) {
    std::optional<PortId> best;
    unsigned best_len = 0;
    for (size_t i = 0; i < ports.size(); ++i) {
        if (!is_lan(ports[i].role))
            continue;
        for (const Prefix& address : ports[i].addresses) {
            if (!address.contains(host) || (best && address.len <= best_len))
                continue;
            best = static_cast<PortId>(i);
            best_len = address.len;
        }
    }
    return best;
}

void add_networks(std::vector<RibRoute>& rib, std::span<const config::Port> ports) {
    for (size_t i = 0; i < ports.size(); ++i) {
        if (!is_lan(ports[i].role))
            continue;
        for (const Prefix& address : ports[i].addresses) {
            const ForwardingEntry entry{.kind = ForwardKind::connected,
                                        .port = static_cast<PortId>(i)};
            rib.push_back({address.network(), entry, RouteOrigin::network});
            add_broadcasts(rib, address.network());
        }
    }
}

}  // namespace

bool RibRoute::operator==(const RibRoute& other) const noexcept {
    return prefix == other.prefix && origin == other.origin && entry.kind == other.entry.kind &&
           entry.port == other.entry.port && entry.peer == other.entry.peer &&
           entry.next_hop == other.entry.next_hop;
}

std::vector<RibRoute> build_rib(std::span<const config::Port> ports,
                                std::span<const config::Route> routes,
                                std::span<const PeerPrefixes> peers,
                                std::span<const IpAddress> own_addresses) {
    std::vector<RibRoute> rib;
    add_built_in(rib);
    for (const PeerPrefixes& peer : peers) {
        const ForwardingEntry entry{.kind = ForwardKind::peer, .peer = peer.peer};
        for (const Prefix& prefix : peer.allowed_ips)
            rib.push_back({prefix.network(), entry, peer.origin});
    }
    for (const config::Route& route : routes) {
        if (!route.enabled)
            continue;
        ForwardingEntry entry = blackhole();
        if (route.via) {
            const auto port = lan_port_of(ports, *route.via);
            entry = {.kind = ForwardKind::gateway,
                     .port = port.value_or(kNoPort),
                     .next_hop = *route.via};
            if (!port)
                entry = blackhole();
        }
        rib.push_back({route.prefix.network(), entry, RouteOrigin::routes});
    }
    add_networks(rib, ports);
    for (const IpAddress& address : own_addresses) {
        const ForwardingEntry entry{.kind = ForwardKind::local, .port = 0};
        rib.push_back({{address, address.bits()}, entry, RouteOrigin::address});
    }
    for (size_t i = 0; i < ports.size(); ++i) {
        for (const Prefix& address : ports[i].addresses) {
            const Prefix host{address.address, address.address.bits()};
            const ForwardingEntry entry{.kind = ForwardKind::local, .port = static_cast<PortId>(i)};
            rib.push_back({host, entry, RouteOrigin::address});
        }
    }
    return rib;
}

std::vector<RibRoute> with_learned(std::vector<RibRoute> rib, std::vector<RibRoute> learned) {
    std::erase_if(rib, [](const RibRoute& route) { return route.origin == RouteOrigin::babel; });
    if (learned.empty())
        return rib;
    std::vector<Prefix> known;
    known.reserve(rib.size());
    for (const RibRoute& route : rib)
        known.push_back(route.prefix);
    std::ranges::sort(known);
    std::erase_if(learned, [&](const RibRoute& route) {
        return std::ranges::binary_search(known, route.prefix);
    });
    rib.insert(rib.end(), learned.begin(), learned.end());
    return rib;
}

}  // namespace meshgate::control
