// SPDX-License-Identifier: Apache-2.0
#include "control/host_interfaces/given.h"

#include <algorithm>

namespace meshgate::control {

namespace {

// Workers look at each address of a port one by one.
constexpr size_t kMaxGiven = 64;
// IPv6 needs that much (RFC 8200, section 5), and so do we of IPv4: less is a mistake, or malice.
constexpr uint16_t kMinMtu = 1280;
// Wider networks of a peer are no site but many, or a way to the internet: a provider's addresses may
// be in there.
constexpr unsigned kWidestSiteV4 = 9;
constexpr unsigned kWidestSiteV6 = 16;  // likewise

// Which the box should rather speak from.
int rank_of(const HostAddress& address) noexcept {
    return (address.deprecated ? 2 : 0) + (address.temporary ? 1 : 0);
}

// The network of peers that the address would be taken from.
std::optional<Prefix> holder_of(const Taken& taken, const Prefix& given) {
    const IpAddress& address = given.address;
    const unsigned of_a_site = address.is_v4() ? kWidestSiteV4 : kWidestSiteV6;
    const unsigned widest = taken.by_more_specific ? given.len : of_a_site;
    for (unsigned len = address.bits(); len >= std::max(widest, 1U); --len) {
        const Prefix network = Prefix{address, static_cast<uint8_t>(len)}.network();
        if (std::ranges::binary_search(taken.of_peers, network))
            return network;
    }
    return std::nullopt;
}

// Empty: the port may have it.
std::string refusal(const Prefix& address, const std::string& interface, const Taken& taken) {
    const std::string subject = to_string(address) + " on " + interface;
    const auto overlaps = [&](const Prefix& other) { return other.overlaps(address); };
    if (std::ranges::any_of(taken.of_ports, overlaps))
        return subject +
               " is a network of another port too, and not used: give the site another network, or "
               "the provider's router";
    if (const auto network = holder_of(taken, address))
        return subject + " is in " + to_string(*network) +
               ", which is a network of a peer, and not used: give the provider's router another "
               "network";
    return "";
}

// The first of the best: a lower metric, then what the router says of itself (RFC 4191).
std::optional<IpAddress> gateway_of(std::span<const HostRoute> routes, Family family) {
    const HostRoute* best = nullptr;
    const auto is_better = [](const HostRoute& a, const HostRoute& b) {
        return a.metric != b.metric ? a.metric < b.metric : a.preference > b.preference;
    };
    for (const HostRoute& route : routes) {
        const bool leads = route.destination.len == 0 &&
                           route.destination.address.family == family && route.gateway &&
                           route.usable;
        if (leads && (best == nullptr || is_better(route, *best)))
            best = &route;
    }
    return best == nullptr ? std::nullopt : best->gateway;
}

void read_addresses(Given& given, const OnTwin& twin, const Taken& taken) {
    std::vector<const HostAddress*> found;
    for (const HostAddress& address : twin.addresses) {
        const IpAddress& ip = address.prefix.address;
        if (address.interface_index == twin.link.index && address.usable && !ip.is_link_local() &&
            !ip.is_loopback())
            found.push_back(&address);
    }
    std::ranges::stable_sort(found, {}, [](const HostAddress* each) { return rank_of(*each); });
    for (const HostAddress* address : found) {
        if (given.addresses.size() == kMaxGiven) {
            given.problems.push_back(twin.link.name + " has " + std::to_string(found.size()) +
                                     " addresses, of which the first " + std::to_string(kMaxGiven) +
                                     " are used");
            return;
        }
        std::string why = refusal(address->prefix, twin.link.name, taken);
        if (why.empty()) {
            given.addresses.push_back(address->prefix);
            if (address->deprecated)
                given.deprecated.push_back(address->prefix.address);
        } else if (given.problems.empty()) {
            given.problems.push_back(std::move(why));
        }
    }
}

}  // namespace

Given read_given(const OnTwin& twin, const Taken& taken) {
    Given given;
    read_addresses(given, twin, taken);
    given.gateway_v4 = gateway_of(twin.routes, Family::ipv4);
    given.gateway_v6 = gateway_of(twin.routes, Family::ipv6);
    given.mtu_bytes = twin.link.mtu_bytes;
    if (twin.link.ipv6_mtu_bytes != 0)
        given.mtu_bytes = std::min(given.mtu_bytes, twin.link.ipv6_mtu_bytes);
    if (given.mtu_bytes != 0)
        given.mtu_bytes = std::max(kMinMtu, given.mtu_bytes);
    if (given.addresses.empty() && given.problems.empty())
        given.problems.push_back("the kernel has no address on " + twin.link.name +
                                 ": is a DHCP client running on it? `ip address show dev " +
                                 twin.link.name + "`, `networkctl status " + twin.link.name + "`");
    return given;
}

void fill_in(config::Port& port, const Given& given) {
    port.addresses = given.addresses;
    port.deprecated = given.deprecated;
    port.gateway_v4 = given.gateway_v4;
    port.gateway_v6 = given.gateway_v6;
    if (given.mtu_bytes != 0)
        port.mtu_bytes = std::min(port.mtu_bytes, given.mtu_bytes);
}

}  // namespace meshgate::control
