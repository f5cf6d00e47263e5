// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/choose_link.h"

#include <algorithm>

#include "base/source_address.h"

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

// Temporary ones are as good as others: rule 7 would move to a new one every day.
std::vector<SourceAddress> sources_of(const UnderlayPort& port) {
    std::vector<SourceAddress> sources;
    for (const Prefix& own : port.addresses)
        sources.push_back({.address = own.address,
                           .prefix_len = static_cast<uint8_t>(own.len),
                           .deprecated = std::ranges::count(port.deprecated, own.address) != 0});
    return sources;
}

// IPv4: our address in the next hop's network, else the first. IPv6: RFC 6724, by the destination.
std::optional<IpAddress> source_towards(const UnderlayPort& port, const IpAddress& next_hop,
                                        const IpAddress& remote) {
    const Prefix* network = network_of(port, next_hop);
    if (remote.is_v4() && network != nullptr)
        return network->address;
    return choose_source(sources_of(port), remote);
}

// One pass over the ports: those that serve, or those that do not; then by what they cost.
class Pass {
public:
    Pass(std::span<const UnderlayPort> ports, const IpAddress& remote,
         std::span<const NextHop> avoided, bool serving)
        : ports_{ports}, remote_{remote}, avoided_{avoided}, serving_{serving} {}

    std::optional<LinkChoice> bound_to(const IpAddress& source) const {
        if (source.family != remote_.family)
            return std::nullopt;
        for (const UnderlayPort& port : ports_) {
            if (!has_address(port, source))
                continue;
            const bool connected = network_of(port, remote_) != nullptr;
            const NextHop next_hop{port.id, connected ? remote_ : gateway_of(port, remote_.family)};
            if (next_hop.address.family == remote_.family && takes(port, next_hop))
                return LinkChoice{next_hop, source};
        }
        return std::nullopt;
    }

    std::optional<LinkChoice> free_choice() const {
        for (const bool metered : {false, true}) {
            if (const auto choice = connected(metered))
                return choice;
            if (const auto choice = by_gateway(metered))
                return choice;
        }
        return std::nullopt;
    }

private:
    std::optional<LinkChoice> connected(bool metered) const {
        std::optional<LinkChoice> best;
        unsigned best_len = 0;
        for (const UnderlayPort& port : ports_) {
            const Prefix* network = network_of(port, remote_);
            const NextHop next_hop{port.id, remote_};
            const bool better = network != nullptr && (!best || network->len > best_len);
            if (!better || port.metered != metered || !takes(port, next_hop))
                continue;
            best = LinkChoice{next_hop, *source_towards(port, remote_, remote_)};
            best_len = network->len;
        }
        return best;
    }

    std::optional<LinkChoice> by_gateway(bool metered) const {
        for (const UnderlayPort& port : ports_) {
            const NextHop next_hop{port.id, gateway_of(port, remote_.family)};
            const bool leads = next_hop.address.family == remote_.family;
            if (!leads || port.metered != metered || !takes(port, next_hop))
                continue;
            if (const auto source = source_towards(port, next_hop.address, remote_))
                return LinkChoice{next_hop, *source};
        }
        return std::nullopt;
    }

    bool takes(const UnderlayPort& port, const NextHop& next_hop) const {
        const bool serves = port.up && std::ranges::count(avoided_, next_hop) == 0;
        return serves == serving_;
    }

    std::span<const UnderlayPort> ports_;
    const IpAddress& remote_;
    std::span<const NextHop> avoided_;
    bool serving_;
};

}  // namespace

std::optional<LinkChoice> choose_link(std::span<const UnderlayPort> ports, const IpAddress& remote,
                                      const IpAddress& source, std::span<const NextHop> avoided) {
    // A port seen as down still serves where there is no other: the kernel is late to say "up".
    for (const bool serving : {true, false}) {
        const Pass pass{ports, remote, avoided, serving};
        if (const auto choice = pass.bound_to(source))
            return choice;
        if (const auto choice = pass.free_choice())
            return choice;
    }
    return std::nullopt;
}

}  // namespace meshgate::control
