// SPDX-License-Identifier: Apache-2.0
// What the machine's own kernel gives to the gateway (addresses of ports) and gets from it (where
// the network is).
#include <algorithm>
#include <utility>

#include "control/gateway/gateway.h"

namespace meshgate::control {

namespace {

// Ports are named by their place: one that is disabled keeps it, without anything that packets or
// neighbours could find there.
std::vector<config::Port> without_disabled(std::vector<config::Port> ports) {
    for (config::Port& port : ports) {
        if (port.enabled)
            continue;
        port.addresses.clear();
        port.gateway_v4.reset();
        port.gateway_v6.reset();
    }
    return ports;
}

}  // namespace

// What the kernel gave stays until it says otherwise.
void Gateway::set_running_ports() {
    std::vector<config::Port> ports = model_.ports;
    for (size_t i = 0; i < ports.size() && i < running_ports_.size(); ++i) {
        const config::Port& before = running_ports_[i];
        if (!ports[i].addresses_from_host || !before.addresses_from_host)
            continue;
        ports[i].addresses = before.addresses;
        ports[i].gateway_v4 = before.gateway_v4;
        ports[i].gateway_v6 = before.gateway_v6;
        ports[i].deprecated = before.deprecated;
        ports[i].mtu_bytes = std::min(ports[i].mtu_bytes, before.mtu_bytes);
    }
    running_ports_ = without_disabled(std::move(ports));
}

void Gateway::take_given(std::vector<config::Port> ports) {
    ports = without_disabled(std::move(ports));
    if (ports == running_ports_)
        return;
    const Now now = this->now();
    for (size_t i = 0; i < ports.size(); ++i)
        log_given(running_ports_.at(i), ports[i], now.mono);
    running_ports_ = std::move(ports);
    publish_ports(now.mono);
    set_site_routers({}, now.mono);
    publish_routes();
    publisher_.publish(now.mono);
    settle(now);
}

void Gateway::log_given(const config::Port& before, const config::Port& after, Time now) {
    if (after.mtu_bytes != before.mtu_bytes)
        parts_.log.write(
            {Log::Level::info, "port-mtu", after.name,
             "the MTU is " + std::to_string(after.mtu_bytes) + " now, as that of its twin"},
            now);
    if (after.addresses == before.addresses)
        return;
    std::string text;
    for (const Prefix& address : after.addresses)
        text += (text.empty() ? "" : ", ") + to_string(address);
    parts_.log.write({Log::Level::info, "addresses", after.name,
                      text.empty() ? "the kernel has no address on its twin any more"
                                   : "from the kernel: " + text},
                     now);
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
                          !config::has_twin(running_ports_.at(route.entry.port));
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
