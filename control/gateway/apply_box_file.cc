// SPDX-License-Identifier: Apache-2.0
// The box file applied: from a model to peers, ports, routes and the mesh, at the start and at each
// reload.
#include <algorithm>
#include <iterator>

#include "config/key_file.h"
#include "config/load.h"
#include "control/gateway/gateway.h"

namespace meshgate::control {

namespace {

// Of the kernel's interface into the network: what a path takes less is told it by ICMP.
constexpr uint16_t kMaxOverlayMtu = 9000;

wireguard::PeerOptions options_of(const config::Peer& peer, const Secrets& secrets) {
    const auto key = secrets.preshared_keys.find(peer.public_key);
    return {
        .public_key = peer.public_key,
        .preshared_key = key == secrets.preshared_keys.end() ? SecretKey{} : key->second.clone(),
        .endpoint = peer.endpoint,
        .persistent_keepalive_s = peer.persistent_keepalive_s};
}

// The peer's own, where it has one; of IPv4 replies the pieces are put together.
std::optional<IpAddress> host_address(const std::vector<Prefix>& allowed_ips) {
    std::optional<IpAddress> result;
    for (const Prefix& prefix : allowed_ips) {
        if (prefix.len == prefix.address.bits() && (!result || prefix.address.is_v4()))
            result = prefix.address;
    }
    return result;
}

std::vector<IpAddress> gateways_of(const config::Port& port) {
    std::vector<IpAddress> result;
    for (const auto& gateway : {port.gateway_v4, port.gateway_v6}) {
        if (gateway)
            result.push_back(*gateway);
    }
    return result;
}

}  // namespace

Result<Secrets> load_secrets(const config::Model& model) {
    Secrets secrets;
    auto private_key = config::load_secret_key(model.node.private_key_file);
    if (!private_key)
        return within(model.node.private_key_file, private_key.error());
    secrets.private_key = std::move(*private_key);
    for (const config::Peer& peer : model.peers) {
        if (peer.preshared_key_file.empty())
            continue;
        auto key = config::load_secret_key(peer.preshared_key_file);
        if (!key)
            return within(peer.preshared_key_file, key.error());
        secrets.preshared_keys.emplace(peer.public_key, std::move(*key));
    }
    for (const config::Babel& entry : model.babel) {
        if (entry.key_file.empty())
            continue;
        auto key = config::read_mac_key_file(entry.key_file);
        if (!key)
            return fail(key.error().message + " (" + key.error().fix + ")");
        secrets.mac_keys[entry.key_file] = std::move(*key);
    }
    return secrets;
}

// ---- what the workers see ----

void Gateway::publish_listen_ports(Time now) {
    publisher_.set_listen_ports(listen_ports_.all());
    links_.set_listen_ports(listen_ports_.all(), now);
}

PortIdentity Gateway::identity_of(PortId port) const {
    return {ports_.macs()[port], tag_of(model_.ports[port])};
}

void Gateway::publish_ports(Time now) {
    std::vector<config::Port> ports = running_ports();
    for (size_t i = 0; i < ports.size(); ++i)  // the interface may take less than the file says
        ports[i].mtu_bytes = std::min(ports[i].mtu_bytes, ports_.mtu_bytes(static_cast<PortId>(i)));
    const std::vector<MacAddress>& macs = ports_.macs();
    publisher_.set_ports(ports, macs);
    std::vector<Neighbors::Port> neighbors;
    std::vector<Groups::Port> groups;
    std::vector<UnderlayPort> underlay;
    for (size_t i = 0; i < ports.size(); ++i) {
        const config::Port& port = ports[i];
        const auto id = static_cast<PortId>(i);
        const PortIdentity identity = identity_of(id);
        neighbors.push_back({.identity = identity,
                             .addresses = own_addresses(port, macs[i]),
                             .networks = connected_networks(port),
                             .gateways = gateways_of(port)});
        groups.push_back({.identity = identity,
                          .source = link_local_address(macs[i]),
                          .groups = solicited_node_groups(neighbors.back().addresses)});
        const bool babel = std::ranges::count(model_.babel, port.name, &config::Babel::port) != 0;
        if (babel)
            groups.back().groups.push_back(babel::multicast_group());
        if (port.enabled && is_wan(port.role))
            underlay.push_back({.id = id,
                                .mac = macs[i],
                                .vlan = identity.vlan,
                                .mtu_bytes = port.mtu_bytes,
                                .addresses = port.addresses,
                                .deprecated = port.deprecated,
                                .gateway_v4 = port.gateway_v4.value_or(IpAddress{}),
                                .gateway_v6 = port.gateway_v6.value_or(IpAddress{}),
                                .up = ports_.is_up(id),
                                .metered = port.metered,
                                .udp_checksum = port.udp_checksum == config::UdpChecksum::never
                                                    ? UdpChecksum::never
                                                    : UdpChecksum::always});
    }
    next_hops_.set_ports(std::move(neighbors), std::move(groups), now);
    uint16_t overlay_mtu_bytes = kMaxOverlayMtu;
    for (const UnderlayPort& port : underlay)
        overlay_mtu_bytes = std::min(overlay_mtu_bytes, inner_mtu(port.mtu_bytes, Family::ipv6));
    parts_.dataplane.set_overlay_mtu(overlay_mtu_bytes);
    links_.set_ports(std::move(underlay), now);
    if (mesh_)
        mesh_->set_ports(model_, this->now());
}

void Gateway::publish_routes() {
    std::vector<PeerPrefixes> prefixes;
    for (const config::Peer& peer : model_.peers) {
        const auto id = device_.find_peer(peer.public_key);
        if (id && peer.enabled)  // one that was just disabled goes after its routes
            prefixes.push_back({*id, peer.allowed_ips});
    }
    std::vector<IpAddress> addresses;
    if (mesh_) {
        std::ranges::move(mesh_->prefixes(), std::back_inserter(prefixes));
        addresses.push_back(mesh_->members().node());
    }
    publish_echo_targets(prefixes);
    auto rib = build_rib(running_ports(), model_.routes, prefixes, addresses);
    site_routers_.set_own_routes(rib, now().mono);
    publisher_.set_routes(with_learned(std::move(rib), site_routers_.routes()));
}

// Members answer probes of the mesh instead.
void Gateway::publish_echo_targets(const std::vector<PeerPrefixes>& prefixes) {
    std::map<PeerId, IpAddress> targets;
    for (const PeerPrefixes& of_peer : prefixes) {
        const auto address = host_address(of_peer.allowed_ips);
        if (address && !(mesh_ && mesh_->members().of(of_peer.peer) != nullptr))
            targets[of_peer.peer] = *address;
    }
    echo_prober_.set_targets(targets);
}

// ---- peers and changes ----

std::string Gateway::name_of(PeerId peer) const {
    const auto it = names_.find(peer);
    return it == names_.end() ? "?" : it->second;
}

Result<PeerId> Gateway::add_peer(const config::Peer& peer, const Secrets& secrets, const Now& now) {
    const PeerId id = parts_.dataplane.add_peer();
    if (id == kNoPeer)
        return fail("no room: dataplane.max_peers is " +
                    std::to_string(parts_.dataplane.options().max_peers));
    names_[id] = peer.name;
    follow_name_of(id, peer);
    if (!device_.add_peer(id, options_of(peer, secrets), now)) {
        names_.erase(id);
        endpoint_names_.remove_peer(id);
        parts_.dataplane.remove_peer(id);
        return fail("its public key is ours, or another peer's");
    }
    sessions_.carry_out(now);
    return id;
}

void Gateway::update_peer(const config::PeerChange& change, const Secrets& secrets,
                          const Now& now) {
    const auto id = device_.find_peer(change.after.public_key);
    if (!id)
        return;
    names_[*id] = change.after.name;
    if (change.endpoint)
        follow_name_of(*id, change.after);
    wireguard::PeerOptions options = options_of(change.after, secrets);
    // An endpoint that the file did not change may have moved since; it stays where it is.
    if (!change.endpoint)
        options.endpoint.reset();
    device_.update_peer(*id, std::move(options), now);
    sessions_.carry_out(now);
}

void Gateway::remove_peer(const PublicKey& public_key, const Now& now) {
    const auto id = device_.find_peer(public_key);
    if (!id)
        return;
    if (mesh_)
        mesh_->clients().remove(*id);
    device_.remove_peer(*id, now);
    sessions_.carry_out(now);
    links_.forget(*id);
    release_slot(*id);
}

void Gateway::release_slot(PeerId peer) {
    sessions_.forget(peer);
    names_.erase(peer);
    endpoint_names_.remove_peer(peer);
    parts_.dataplane.remove_peer(peer);
}

Result<void> Gateway::apply(const config::Diff& changes, config::Model after, Secrets secrets) {
    const Now now = this->now();
    const Time time = now.mono;
    // New peers come before old ones go, so there must be room for both at once.
    const size_t nb_peers = model_.peers.size() + changes.added_peers.size();
    if (nb_peers > parts_.dataplane.options().max_peers)
        return fail("no room for the new peers beside the old ones: dataplane.max_peers is " +
                    std::to_string(parts_.dataplane.options().max_peers));
    model_ = std::move(after);
    running_ports_.set_model(model_.ports);
    for (size_t i = 0; i < running_ports().size(); ++i)
        parts_.dataplane.set_port_enabled(static_cast<PortId>(i), running_ports()[i].enabled);
    if (changes.log_changed)
        parts_.log.configure(model_.log);
    if (changes.listen_port_changed) {
        listen_ports_.set(model_.wireguard.listen_port, time);
        publish_listen_ports(time);
    }
    if (changes.ports_changed || changes.babel_changed)
        publish_ports(time);
    for (const config::Peer& peer : changes.added_peers) {
        const auto added = add_peer(peer, secrets, now);
        if (!added)
            parts_.log.write({Log::Level::error, "peer-refused", peer.name, added.error().message},
                             time);
    }
    for (const config::PeerChange& change : changes.changed_peers)
        update_peer(change, secrets, now);
    set_site_routers(std::move(secrets.mac_keys), time);
    publish_routes();
    publisher_.publish(time);
    // No route leads to the removed peers any more.
    for (const config::Peer& peer : changes.removed_peers)
        remove_peer(peer.public_key, now);
    settle(now);
    return {};
}

}  // namespace meshgate::control
