// SPDX-License-Identifier: Apache-2.0
// What the API shows of the mesh.
#include <algorithm>

#include "control/daemon/state_view.h"

namespace meshgate::control {

// A member's endpoint is where its datagrams go now.
void StateView::add_mesh_path(PeerView& view, PeerId peer) const {
    view.endpoint.reset();
    const auto path = gateway_.mesh()->views().path_of(peer, gateway_.now());
    if (!path || path->kind == PathKind::none)
        return;
    view.endpoint = path->remote;
    view.path = path->kind;
    view.via = path->kind == PathKind::direct ? path->port : path->relay;
    view.mtu_bytes = path->mtu_bytes;
    view.mtu_origin = path->mtu_origin;
}

std::optional<NetworkView> StateView::network() {
    const mesh::Mesh* mesh = gateway_.mesh();
    if (mesh == nullptr)
        return std::nullopt;
    const config::Network& network = mesh->members().network();
    return NetworkView{.name = network.name,
                       .version = network.version,
                       .authority = to_string(mesh->members().authority()),
                       .members = network.members.size(),
                       .clients = network.clients.size(),
                       .others = mesh->members().all().size(),
                       .others_up = mesh->members().nb_up(),
                       .alarms = mesh->nb_alarms(),
                       .events = mesh->views().events()};
}

std::vector<LinkView> StateView::links() {
    const mesh::Mesh* mesh = gateway_.mesh();
    return mesh == nullptr ? std::vector<LinkView>{} : mesh->views().links(gateway_.now());
}

std::vector<MeshPathView> StateView::paths() {
    const mesh::Mesh* mesh = gateway_.mesh();
    return mesh == nullptr ? std::vector<MeshPathView>{} : mesh->views().paths(gateway_.now());
}

std::vector<MemberView> StateView::members() {
    const mesh::Mesh* mesh = gateway_.mesh();
    return mesh == nullptr ? std::vector<MemberView>{} : mesh->views().members(gateway_.now());
}

std::vector<RelayView> StateView::relays() {
    const mesh::Mesh* mesh = gateway_.mesh();
    return mesh == nullptr ? std::vector<RelayView>{} : mesh->views().relays(gateway_.now());
}

std::optional<ExplainView> StateView::explain(const std::string& peer) {
    const mesh::Mesh* mesh = gateway_.mesh();
    return mesh == nullptr ? std::nullopt : mesh->views().explain(peer, gateway_.now());
}

NetworkPushReport StateView::push_network(const std::string& text, const std::string& signature,
                                          const Caller& caller) {
    config::SignedNetwork candidate{.text = text, .signature = {}};
    const mesh::Mesh* mesh = gateway_.mesh();
    if (signature.size() != candidate.signature.size())
        return {
            .accepted = false,
            .version = mesh == nullptr ? 0 : mesh->members().network().version,
            .errors = {"a signature has 64 bytes, this one " + std::to_string(signature.size())}};
    std::ranges::copy(signature, candidate.signature.begin());
    auto offer = gateway_.offer_network(std::move(candidate), "uid " + std::to_string(caller.uid));
    mesh = gateway_.mesh();
    return {.accepted = offer.has_value(),
            .version = mesh == nullptr ? 0 : mesh->members().network().version,
            .errors = offer ? mesh::NetworkStore::Errors{} : std::move(offer.error())};
}

}  // namespace meshgate::control
