// SPDX-License-Identifier: Apache-2.0
// What the gateway does about routers of other makes: who may announce what, where Babel is
// spoken, and what is learned.
#include "control/gateway/gateway.h"

namespace meshgate::control {

namespace {

// What the signed file gives to others: no router, whoever it is, may draw their packets here.
void claim_network(site_routers::Policy::Ownership& ownership, const mesh::NetworkStore& store,
                   const PublicKey& self) {
    using Kind = site_routers::Refusal::Kind;
    ownership.node_prefix = config::node_prefix(store.authority());
    for (const config::Member& member : store.network().members) {
        ownership.boxes.insert(
            site_routers::router_mark(config::node_address(store.authority(), member.public_key)));
        if (member.public_key == self)
            continue;
        for (const Prefix& prefix : member.prefixes)
            ownership.claims.push_back(
                {.prefix = prefix, .kind = Kind::member, .owner = member.name});
    }
    for (const config::Client& client : store.network().clients) {
        for (const Prefix& address : client.addresses)
            ownership.claims.push_back(
                {.prefix = address, .kind = Kind::client, .owner = client.name});
    }
}

}  // namespace

std::optional<site_routers::RouterMark> Gateway::router_mark() const {
    if (parts_.network == nullptr)
        return std::nullopt;
    return site_routers::router_mark(
        config::node_address(parts_.network->authority(), model_.node.public_key));
}

void Gateway::set_site_routers(site_routers::MacSecrets secrets, Time now) {
    site_routers::Policy::Ownership ownership;
    for (const config::Port& port : running_ports()) {
        for (const Prefix& address : port.addresses)
            ownership.own_addresses.push_back(address.address);
    }
    for (const config::Peer& peer : model_.peers) {
        if (!peer.enabled)
            continue;
        const auto id = device_.find_peer(peer.public_key);
        for (const Prefix& prefix : peer.allowed_ips)
            ownership.claims.push_back({.prefix = prefix,
                                        .kind = site_routers::Refusal::Kind::peer,
                                        .owner = peer.name,
                                        .peer = id.value_or(kNoPeer)});
    }
    if (parts_.network != nullptr)
        claim_network(ownership, *parts_.network, model_.node.public_key);
    site_routers_.set_ownership(std::move(ownership), now);
    site_routers_.set_places(
        site_routers::places_of({.model = model_,
                                 .macs = ports_.macs(),
                                 .links_down_since_ns = ports_.down_since_ns(),
                                 .find_peer =
                                     [this](const PublicKey& key) {
                                         return device_.find_peer(key).value_or(kNoPeer);
                                     }}),
        std::move(secrets), now);
}

}  // namespace meshgate::control
