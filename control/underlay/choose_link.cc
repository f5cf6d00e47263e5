// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/choose_link.h"

namespace meshgate::control {

namespace {

const IpAddress& gateway_of(const UnderlayPort& port, Family family) {
    return family == Family::ipv4 ? port.gateway_v4 : port.gateway_v6;
}

const Prefix* network_of(const UnderlayPort& port, const IpAddress& host) {
    const Prefix* best = nullptr;
    for (const Prefix& address : port.addresses) {
        if (address.contains(host) && (best == nullptr || address.len > best->len))
            best = &address;
    }
    return best;
}

bool has_address(const UnderlayPort& port, const IpAddress& address) {
    for (const Prefix& own : port.addresses) {
        if (own.address == address)
            return true;
    }
    return false;
}

// The source towards a gateway: our address in its network, else the first of the family.
std::optional<IpAddress> source_towards(const UnderlayPort& port, const IpAddress& gateway) {
    if (const Prefix* network = network_of(port, gateway))
        return network->address;
    for (const Prefix& own : port.addresses) {
        if (own.address.family == gateway.family)
            return own.address;
    }
    return std::nullopt;
}

std::optional<LinkChoice> choice_by(const UnderlayPort& port, const IpAddress& remote,
                                    const IpAddress& source) {
    if (network_of(port, remote) != nullptr)
        return LinkChoice{{port.id, remote}, source};
    const IpAddress& gateway = gateway_of(port, remote.family);
    if (gateway.family == remote.family)
        return LinkChoice{{port.id, gateway}, source};
    return std::nullopt;
}

std::optional<LinkChoice> bound_choice(std::span<const UnderlayPort> ports, const IpAddress& remote,
                                       const IpAddress& source, bool up) {
    if (source.family != remote.family)
        return std::nullopt;
    for (const UnderlayPort& port : ports) {
        if (port.up == up && has_address(port, source))
            return choice_by(port, remote, source);
    }
    return std::nullopt;
}

std::optional<LinkChoice> connected_choice(std::span<const UnderlayPort> ports,
                                           const IpAddress& remote, bool up) {
    std::optional<LinkChoice> best;
    unsigned best_len = 0;
    for (const UnderlayPort& port : ports) {
        const Prefix* network = network_of(port, remote);
        if (port.up != up || network == nullptr || (best && network->len <= best_len))
            continue;
        best = LinkChoice{{port.id, remote}, network->address};
        best_len = network->len;
    }
    return best;
}

std::optional<LinkChoice> gateway_choice(std::span<const UnderlayPort> ports,
                                         const IpAddress& remote, bool up) {
    for (const UnderlayPort& port : ports) {
        const IpAddress& gateway = gateway_of(port, remote.family);
        if (port.up != up || gateway.family != remote.family)
            continue;
        if (const auto source = source_towards(port, gateway))
            return LinkChoice{{port.id, gateway}, *source};
    }
    return std::nullopt;
}

}  // namespace

std::optional<LinkChoice> choose_link(std::span<const UnderlayPort> ports, const IpAddress& remote,
                                      const IpAddress& source) {
    // A port seen as down still serves where there is no other: the kernel is late to say "up".
    for (const bool up : {true, false}) {
        if (const auto choice = bound_choice(ports, remote, source, up))
            return choice;
        if (const auto choice = connected_choice(ports, remote, up))
            return choice;
        if (const auto choice = gateway_choice(ports, remote, up))
            return choice;
    }
    return std::nullopt;
}

}  // namespace meshgate::control
