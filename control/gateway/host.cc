// SPDX-License-Identifier: Apache-2.0
// What the machine's own kernel gives to the gateway (addresses of ports) and gets from it (where
// the network is).
#include <algorithm>
#include <utility>

#include "control/gateway/gateway.h"

namespace meshgate::control {

void Gateway::take_given(std::vector<config::Port> ports) {
    const Now now = this->now();
    if (!running_ports_.take_given(std::move(ports), now.mono))
        return;
    publish_ports(now.mono);
    set_site_routers({}, now.mono);
    publish_routes();
    publisher_.publish(now.mono);
    settle(now);
}

// All that leads to a peer, or to networks behind a router of the site. Not everything at once: the
// machine's own way to the internet is its default route.
std::optional<Gateway::ForHost> Gateway::news_for_host() {
    const uint64_t nb_changes = publisher_.builder().nb_changes();
    if (nb_changes == std::exchange(nb_changes_told_, nb_changes))
        return std::nullopt;
    ForHost news;
    for (const RibRoute& route : routes()) {
        const ForwardKind kind = route.entry.kind;
        const bool far = kind == ForwardKind::peer || kind == ForwardKind::gateway;
        const bool near = kind == ForwardKind::connected &&
                          !config::has_twin(running_ports().at(route.entry.port));
        if ((far || near) && route.prefix.len > 0)
            news.destinations.push_back(route.prefix);
        if (kind == ForwardKind::peer)
            news.of_peers.push_back(route.prefix);
    }
    for (std::vector<Prefix>* prefixes : {&news.destinations, &news.of_peers}) {
        std::ranges::sort(*prefixes);
        prefixes->erase(std::unique(prefixes->begin(), prefixes->end()), prefixes->end());
    }
    if (mesh_)
        news.own_addresses.push_back(mesh_->members().node());
    return news;
}

}  // namespace meshgate::control
