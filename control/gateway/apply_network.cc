// SPDX-License-Identifier: Apache-2.0
// Network files: where they come from, and what each new one means for peers, clients and routes.
#include <algorithm>
#include <utility>

#include "control/gateway/gateway.h"

namespace meshgate::control {

void Gateway::make_mesh(const Now& now) {
    mesh_ = std::make_unique<mesh::Mesh>(
        mesh::MeshParts{
            .dataplane = parts_.dataplane,
            .device = device_,
            .links = links_,
            .log = parts_.log,
            .clock = parts_.clock,
            .set_name = [this](PeerId peer, const std::string& name) { names_[peer] = name; }},
        parts_.network->authority(), model_);
    sessions_.set_path_gate(*mesh_);
    publish_listen_ports(now.mono);
    publish_ports(now.mono);
    mesh_->apply(parts_.network->network(), parts_.network->signed_network(), now);
    add_clients(mesh_->clients().changes(mesh_->members()).fresh, now);
}

// New things come before old ones go.
void Gateway::take_network(const Now& now) {
    mesh_->apply(parts_.network->network(), parts_.network->signed_network(), now);
    sessions_.carry_out(now);  // sessions of members that went end
    const auto clients = mesh_->clients().changes(mesh_->members());
    for (const auto& [peer, client] : clients.present)
        names_[peer] = client.name;
    add_clients(clients.fresh, now);
    set_site_routers({}, now.mono);
    publish_routes();
    publisher_.publish(now.mono);
    for (const PeerId member : mesh_->take_departed())
        release_slot(member);
    for (const PublicKey& client : clients.gone)
        remove_peer(client, now);
    settle(now);
}

// Clients are stock peers that the network file vouches for.
void Gateway::add_clients(const std::vector<config::Client>& clients, const Now& now) {
    for (const config::Client& client : clients) {
        config::Peer peer;
        peer.name = client.name;
        peer.public_key = client.public_key;
        peer.allowed_ips = client.addresses;
        if (const auto added = add_peer(peer, {}, now); !added) {
            parts_.log.write(
                {Log::Level::error, "client-refused", client.name, added.error().message},
                now.mono);
        } else {
            mesh_->clients().add(*added, client.public_key);
            sessions_.set_client(*added);
        }
    }
}

// Alarms are raised for what neighbours hand over and the authority did not sign.
void Gateway::look_at_candidates(const Now& now) {
    for (const mesh::FileCandidate& candidate : mesh_->take_candidates()) {
        config::SignedNetwork network;
        const auto split = candidate.bytes.begin() + mesh::kSignatureLen;
        std::copy(candidate.bytes.begin(), split, network.signature.begin());
        network.text.assign(split, candidate.bytes.end());
        const auto offer = offer_network(std::move(network), "a neighbour");
        if (!offer)
            mesh_->refuse(candidate, offer.error().empty() ? "" : offer.error().front(), now);
        else if (mesh_->members().network().version != candidate.version)
            mesh_->refuse(candidate, "it is not the version that was told", now);
    }
}

mesh::NetworkStore::Offered Gateway::offer_network(config::SignedNetwork candidate,
                                                   const std::string& source) {
    const Now now = this->now();
    if (!mesh_)
        return tl::unexpected{mesh::NetworkStore::Errors{"the box file names no network"}};
    auto offer = parts_.network->offer(std::move(candidate), source);
    if (!offer)
        return offer;
    parts_.log.write({Log::Level::info, "network", parts_.network->network().name,
                      "version " + std::to_string(parts_.network->network().version) +
                          " is in force, from " + source,
                      Log::Cause::administrator});
    if (!offer->warning.empty())
        parts_.log.write({Log::Level::warning, "network-not-kept", parts_.network->network().name,
                          offer->warning, Log::Cause::administrator});
    take_network(now);
    return offer;
}

void Gateway::answer_forwarded_handshakes(const Now& now) {
    for (const auto& handshake : mesh_->take_handshakes()) {
        device_.receive(handshake.bytes, wireguard::NodeAddress{handshake.from}, handshakes_.size(),
                        now);
        sessions_.carry_out(now);
    }
}

}  // namespace meshgate::control
