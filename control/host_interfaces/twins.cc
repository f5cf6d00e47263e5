// SPDX-License-Identifier: Apache-2.0
#include "control/host_interfaces/twins.h"

#include <net/if.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <tuple>
#include <utility>

namespace meshgate::control {

namespace {

// Behind those of DHCP clients and of networkd (1024): who has a lease knows better.
constexpr uint32_t kDefaultMetric = 2048;
constexpr uint32_t kNetworkMetric = 512;
constexpr const char* kOwner = "meshgate ";  // with the socket behind it: one of our daemons
// That the kernel gets into the network.
constexpr size_t kMaxNetworkRoutes = 10'000;

Prefix everything(Family family) {
    return {IpAddress{.family = family}, 0};
}

// What makes a route another one: of IPv6 the kernel does not say that a gateway is on the wire.
auto identity_of(const HostRoute& route) noexcept {
    return std::tie(route.destination, route.interface_index, route.gateway, route.source,
                    route.metric, route.protocol);
}
bool comes_before(const HostRoute& a, const HostRoute& b) noexcept {
    return identity_of(a) < identity_of(b);
}

// Never "delete it": that may be a card, or what another daemon stands on.
std::string name_taken(const HostLink& link, bool by_twin) {
    std::string what = "there is an interface " + link.name + " already";
    if (link.alias.starts_with(kOwner))
        return what + " (" + link.alias +
               "): is that daemon still there? Where it is gone for good, `ip link delete " +
               link.name + "`";
    return what + (by_twin ? ", which the twin of a port would be called: give the port a host_name"
                           : ", which the way into the network would be called: say another name "
                             "in node.interface");
}

}  // namespace

// At the end the network's interface goes, and its routes with it; twins stay for the next run, and
// so do leases and connections.
Twins::~Twins() {
    const auto found = indices_.find(network_name_);
    if (at_end_ && found != indices_.end() && found->second != 0) [[maybe_unused]]
        const auto removed = at_end_->remove_link(found->second);
}

Result<void> Twins::claim(Rtnetlink& netlink, const config::Model& model) {
    network_name_ = std::ranges::any_of(model.ports, config::has_twin) ? model.node.interface : "";
    set_ports(model.ports);
    const auto links = netlink.links();
    if (!links)
        return propagate(links);
    const std::vector<Interface> mine = wanted();
    for (const HostLink& link : *links) {
        const auto same = std::ranges::find(mine, link.name, &Interface::name);
        const bool ours = link.alias.starts_with(options_.owner + ": ");
        if (ours && (same == mine.end() || same->alias != link.alias)) {
            if (const auto removed = netlink.remove_link(link.index); !removed)
                return within(link.name, removed.error());
        } else if (ours) {
            found_mtus_bytes_[link.name] = link.mtu_bytes;
        } else if (same != mine.end()) {
            return fail(name_taken(link, same->port.has_value()));
        }
    }
    if (auto own = Rtnetlink::open(); own && !network_name_.empty())
        at_end_.emplace(*std::move(own));
    claimed_ = true;
    return {};
}

void Twins::set_ports(const std::vector<config::Port>& ports) {
    ports_ = ports;
    given_.resize(ports.size());
}

void Twins::set_network(Network network) {
    network_ = std::move(network);
    stale_ = claimed_;
}

bool Twins::has(unsigned interface_index) const noexcept {
    return std::ranges::any_of(
        indices_, [interface_index](const auto& entry) { return entry.second == interface_index; });
}

std::vector<config::Port> Twins::filled_in(std::vector<config::Port> ports) const {
    for (size_t i = 0; i < ports.size() && i < given_.size(); ++i) {
        if (ports[i].addresses_from_host)
            fill_in(ports[i], given_[i]);
    }
    return ports;
}

// ---- what shall be there ----

std::vector<Twins::Interface> Twins::wanted() const {
    std::vector<Interface> result;
    for (size_t i = 0; i < ports_.size(); ++i) {
        const config::Port& port = ports_[i];
        if (!has_twin(port))
            continue;
        Interface& twin = result.emplace_back();
        twin.port = i;
        twin.name = config::twin_of(port);
        twin.alias = options_.owner + ": twin of port " + port.name;
        twin.addresses = port.addresses;
        twin.given = port.addresses_from_host;
        for (const auto& gateway : {port.gateway_v4, port.gateway_v6}) {
            if (gateway)
                twin.routes.push_back({.destination = everything(gateway->family),
                                       .gateway = gateway,
                                       .metric = kDefaultMetric,
                                       .protocol = kOurProtocol,
                                       .on_link = port.on_link});
        }
    }
    if (network_name_.empty())
        return result;
    Interface& network = result.emplace_back();
    network.name = network_name_;
    network.alias = options_.owner + ": the way into the network";
    for (const IpAddress& address : network_.own_addresses)
        network.addresses.push_back({address, address.bits()});
    // Where the site's own port has no twin, the kernel needs its address from somewhere.
    for (const config::Port& port : ports_) {
        if (!port.enabled || !is_lan(port.role) || port.host)
            continue;
        for (const Prefix& address : port.addresses)
            network.addresses.push_back({address.address, address.address.bits()});
    }
    network.routes = network_routes();
    return result;
}

// What peers let in is an address of a lan port, or, of IPv6, our node address.
std::optional<IpAddress> Twins::identity(Family family) const {
    for (size_t i = 0; i < ports_.size(); ++i) {
        for (const Prefix& address : addresses_of(i)) {
            if (ports_[i].enabled && is_lan(ports_[i].role) && address.address.family == family)
                return address.address;
        }
    }
    const auto own = std::ranges::find(network_.own_addresses, family, &IpAddress::family);
    return own == network_.own_addresses.end() ? std::nullopt : std::optional{*own};
}

std::vector<HostRoute> Twins::network_routes() const {
    std::vector<HostRoute> routes;
    for (const Prefix& destination : network_.destinations) {
        const auto source = identity(destination.address.family);
        if (source && routes.size() < kMaxNetworkRoutes)
            routes.push_back({.destination = destination,
                              .source = source,
                              .metric = kNetworkMetric,
                              .protocol = kOurProtocol});
    }
    return routes;
}

// ---- what is there ----

void Twins::tick(Rtnetlink& netlink, const std::vector<HostAddress>& addresses, bool changed) {
    if (!claimed_)
        return;
    problems_.clear();
    stale_ = false;
    if (changed)
        routes_.clear();
    note_limits();
    std::vector<Interface> interfaces = wanted();
    for (Interface& interface : interfaces) {
        interface.index = if_nametoindex(interface.name.c_str());
        const bool other =
            std::exchange(indices_[interface.name], interface.index) != interface.index;
        if (interface.index == 0) {
            problems_.push_back("kernel interface " + interface.name +
                                " is gone: `systemctl restart meshgated` makes it again");
            if (interface.port)
                given_[*interface.port] = {};
            continue;
        }
        keep_settings(interface);
        if (other)
            adopt(netlink, interface);
        keep_addresses(netlink, interface, addresses);
        if (const auto* routes = routes_of(netlink, interface)) {
            keep_routes(netlink, interface, *routes);
            if (interface.given)
                take_given(netlink, interface, addresses, *routes);
        }
    }
}

// Of IPv4 our interfaces have a switch of their own (keep_settings), of IPv6 the machine has one.
void Twins::note_limits() {
    if (network_name_.empty())
        return;
    const KernelSettings all{options_.settings_root, kForwardingOfIpv6};
    for (const FoundSetting& setting : all.read("all")) {
        if (setting.value != "0")
            problems_.emplace_back(
                "this machine's kernel forwards IPv6, past the box: "
                "`sysctl -w net.ipv6.conf.all.forwarding=0`, and in /etc/sysctl.d/");
    }
    if (network_.destinations.size() > kMaxNetworkRoutes)
        problems_.push_back(network_name_ + " leads to the first " +
                            std::to_string(kMaxNetworkRoutes) + " of " +
                            std::to_string(network_.destinations.size()) + " networks");
}

// The kernel carries nothing on between our interfaces, and answers ARP for none of its addresses
// on another one.
void Twins::keep_settings(const Interface& interface) {
    const auto apply = [&](std::span<const NeededSetting> needed) {
        const auto applied = KernelSettings{options_.settings_root, needed}.apply(interface.name);
        if (!applied)
            note(propagate(applied));
    };
    apply(kSettingsOfTwins);
    apply(interface.given ? std::span<const NeededSetting>{kSettingsOfGiven} : kSettingsOfWritten);
    if (interface.name == network_name_)
        apply(kSettingsOfNetwork);
    const bool speaks_v6 = std::ranges::any_of(
        interface.addresses, [](const Prefix& address) { return address.address.is_v6(); });
    if (speaks_v6)
        apply(kSettingsForIpv6);
}

// A DHCP client that lowered the MTU in an earlier run of ours will not do so again by itself.
void Twins::adopt(Rtnetlink& netlink, const Interface& interface) {
    const uint16_t found = std::exchange(found_mtus_bytes_[interface.name], uint16_t{0});
    const auto link = netlink.link(interface.index);
    const bool lower = interface.given && link && found < link->mtu_bytes;
    note(netlink.claim_link(interface.index, interface.alias, lower ? found : uint16_t{0}));
}

void Twins::keep_addresses(Rtnetlink& netlink, const Interface& interface,
                           const std::vector<HostAddress>& present) {
    std::vector<Prefix> missing = interface.addresses;
    for (const HostAddress& address : present) {
        if (address.interface_index != interface.index)
            continue;
        if (std::erase(missing, address.prefix) == 0 && address.protocol == kOurProtocol)
            note(netlink.remove_address(address));
    }
    for (const Prefix& address : missing)
        note(netlink.add_address(
            {.interface_index = interface.index, .prefix = address, .protocol = kOurProtocol}));
}

// Null: they changed while we read them, and we shall hear of that.
const std::vector<HostRoute>* Twins::routes_of(Rtnetlink& netlink, const Interface& interface) {
    if (const auto known = routes_.find(interface.name); known != routes_.end())
        return &known->second;
    auto routes = netlink.routes(interface.index);
    if (!routes)
        return nullptr;
    return &(routes_[interface.name] = *std::move(routes));
}

void Twins::keep_routes(Rtnetlink& netlink, const Interface& interface,
                        const std::vector<HostRoute>& present) {
    std::vector<HostRoute> missing;
    for (HostRoute route : interface.routes) {
        route.interface_index = interface.index;
        missing.push_back(route);
    }
    std::ranges::sort(missing, comes_before);
    std::vector<HostRoute> ours;
    for (const HostRoute& route : present) {
        if (route.protocol == kOurProtocol)
            ours.push_back(route);
    }
    std::ranges::sort(ours, comes_before);
    std::vector<HostRoute> stale, fresh;
    std::ranges::set_difference(ours, missing, std::back_inserter(stale), comes_before);
    std::ranges::set_difference(missing, ours, std::back_inserter(fresh), comes_before);
    for (const HostRoute& route : stale)
        note(netlink.remove_route(route));
    for (const HostRoute& route : fresh)
        note(netlink.add_route(route));
}

// ---- what others put there ----

const std::vector<Prefix>& Twins::addresses_of(size_t port) const {
    return ports_[port].addresses_from_host ? given_[port].addresses : ports_[port].addresses;
}

// Networks of the box file come first, then those of the first of the ports.
Taken Twins::taken_beside(size_t port) const {
    Taken taken{.of_ports = {},
                .of_peers = network_.of_peers,
                .by_more_specific = is_lan(ports_[port].role)};
    for (size_t i = 0; i < ports_.size(); ++i) {
        if (i == port || !ports_[i].enabled || (i > port && ports_[i].addresses_from_host))
            continue;
        const std::vector<Prefix>& others = addresses_of(i);
        taken.of_ports.insert(taken.of_ports.end(), others.begin(), others.end());
    }
    return taken;
}

void Twins::take_given(Rtnetlink& netlink, const Interface& interface,
                       const std::vector<HostAddress>& addresses,
                       const std::vector<HostRoute>& routes) {
    const auto link = netlink.link(interface.index);
    if (!link)
        return;
    const size_t port = interface.port.value();
    given_[port] =
        read_given({.link = *link, .addresses = addresses, .routes = routes}, taken_beside(port));
}

void Twins::note(const Result<void>& result) {
    if (!result)
        problems_.push_back(result.error().message);
}

}  // namespace meshgate::control
