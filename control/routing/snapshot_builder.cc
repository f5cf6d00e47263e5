// SPDX-License-Identifier: Apache-2.0
#include "control/routing/snapshot_builder.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/assert.h"
#include "control/neighbor/messages.h"

namespace meshgate::control {

namespace {

// A LAN address is what hosts know us by, and what peers let in. A wan address is in no stock
// peer's allowed IPs: without a LAN address there is none.
std::vector<IpAddress> icmp_sources(std::span<const config::Port> ports) {
    std::vector<IpAddress> result;
    bool babel = false;
    for (const config::Port& port : ports) {
        babel = babel || port.babel;
        if (!is_lan(port.role))
            continue;
        for (const Prefix& address : port.addresses)
            result.push_back(address.address);
    }
    // A box that routes IPv4 and has no IPv4 address of its own (RFC 9229, section 3).
    if (babel && std::ranges::none_of(result, &IpAddress::is_v4))
        result.push_back(*parse_address("192.0.0.8"));
    return result;
}

}  // namespace

PortRole role_of(const config::Port& port) noexcept {
    switch (port.role) {
        case config::Role::wan:
            return PortRole::wan;
        case config::Role::one_arm:
            return PortRole::one_arm;
        case config::Role::lan:
            break;
    }
    return PortRole::lan;
}

uint16_t tag_of(const config::Port& port) noexcept {
    return vlan_tag(port.vlan.value_or(kNoVlan), port.priority);
}

std::vector<IpAddress> own_addresses(const config::Port& port, const MacAddress& mac) {
    std::vector<IpAddress> result;
    for (const Prefix& address : port.addresses)
        result.push_back(address.address);
    const IpAddress link_local = link_local_address(mac);
    const bool speaks_v6 = port.babel || std::ranges::any_of(result, [](const IpAddress& address) {
                               return address.is_v6();
                           });
    if (speaks_v6 && std::ranges::count(result, link_local) == 0)
        result.push_back(link_local);
    return result;
}

std::vector<Prefix> connected_networks(const config::Port& port) {
    std::vector<Prefix> result;
    for (const Prefix& address : port.addresses)
        result.push_back(address.network());
    return result;
}

SnapshotBuilder::SnapshotBuilder() {
    parts_.fib = Fib::build({});
    parts_.entries.resize(1);
    parts_.neighbors = NeighborTable::build({});
}

bool SnapshotBuilder::set_routes(std::vector<RibRoute> routes) {
    if (routes == routes_)
        return false;
    using EntryKey = std::tuple<ForwardKind, PortId, PeerId, IpAddress>;
    std::map<EntryKey, uint32_t> index_of;
    std::vector<ForwardingEntry> entries(1);
    std::vector<Fib::Route> fib_routes;
    fib_routes.reserve(routes.size());
    nb_routes_.fill(0);
    for (const RibRoute& route : routes) {
        const ForwardingEntry& entry = route.entry;
        MG_ASSERT(static_cast<size_t>(entry.kind) < nb_routes_.size());
        nb_routes_[static_cast<size_t>(entry.kind)] +=
            route.origin == RouteOrigin::built_in ? 0 : 1;
        const auto [it, fresh] =
            index_of.try_emplace({entry.kind, entry.port, entry.peer, entry.next_hop},
                                 static_cast<uint32_t>(entries.size()));
        if (fresh)
            entries.push_back(entry);
        fib_routes.push_back({route.prefix, it->second});
    }
    MG_ASSERT(entries.size() <= Fib::kMaxValue);
    parts_.fib = Fib::build(fib_routes);
    parts_.entries = std::move(entries);
    routes_ = std::move(routes);
    ++nb_changes_;
    return true;
}

void SnapshotBuilder::set_ports(std::span<const config::Port> ports,
                                std::span<const MacAddress> macs) {
    MG_ASSERT(ports.size() == macs.size());
    parts_.ports.clear();
    for (size_t i = 0; i < ports.size(); ++i) {
        parts_.ports.push_back({.role = role_of(ports[i]),
                                .mac = macs[i],
                                .vlan = ports[i].vlan.value_or(kNoVlan),
                                .priority = ports[i].priority,
                                .mtu_bytes = ports[i].mtu_bytes,
                                .addresses_from_host = ports[i].addresses_from_host,
                                .addresses = own_addresses(ports[i], macs[i]),
                                .networks = connected_networks(ports[i])});
    }
    parts_.icmp_sources = icmp_sources(ports);
}

void SnapshotBuilder::set_neighbors(std::span<const NeighborTable::Neighbor> neighbors) {
    parts_.neighbors = NeighborTable::build(neighbors);
}

void SnapshotBuilder::set_listen_ports(std::vector<uint16_t> listen_ports) {
    parts_.listen_ports = std::move(listen_ports);
}

std::shared_ptr<const Snapshot> SnapshotBuilder::build() const {
    return std::make_shared<const Snapshot>(parts_);
}

}  // namespace meshgate::control
