// SPDX-License-Identifier: Apache-2.0
// Peers whose endpoint is a name: what the name stands for reaches the peer's session from here.
#include <algorithm>

#include "control/gateway/gateway.h"

namespace meshgate::control {

void Gateway::set_addresses(const std::string& host, const std::vector<IpAddress>& addresses) {
    const Now now = this->now();
    if (mesh_)
        mesh_->set_addresses(host, addresses, now);
    settle(now);
    endpoint_names_.set_addresses(host, addresses);
    follow_names();
}

void Gateway::follow_name_of(PeerId id, const config::Peer& peer) {
    if (peer.endpoint_name)
        endpoint_names_.set_peer(id, *peer.endpoint_name);
    else
        endpoint_names_.remove_peer(id);
}

// A second initiation says that the first had no answer.
EndpointNames::Progress Gateway::progress_of(PeerId peer) const {
    const auto view = device_.peer_view(peer);
    EndpointNames::Progress progress{.answers = true};
    if (!view)
        return progress;
    const bool asks_again = view->handshake_in_progress && view->initiations_of_attempt > 1;
    progress.asks = view->handshake_in_progress;
    progress.answers = view->session == wireguard::SessionState::established && !asks_again;
    if (view->endpoint)
        progress.endpoint = view->endpoint->remote;
    progress.initiations_sent =
        view->counters[static_cast<size_t>(wireguard::HandshakeEvent::initiation_sent)];
    return progress;
}

void Gateway::follow_names() {
    if (!endpoint_names_.any())
        return;
    const Now now = this->now();
    const auto is_ours = [this](const IpAddress& address) {
        return std::ranges::any_of(running_ports(), [&](const config::Port& port) {
            return std::ranges::count(port.addresses, address, &Prefix::address) != 0;
        });
    };
    const auto usable = [&](const IpAddress& address) {
        return !is_ours(address) && links_.leads_to(address);
    };
    for (const auto& [peer, to] :
         endpoint_names_.moves([this](PeerId id) { return progress_of(id); }, usable)) {
        const auto before = device_.peer_view(peer);
        device_.set_endpoint(peer, to);
        parts_.log.write(
            {Log::Level::info, "endpoint-name", name_of(peer), "is tried at " + to_string(to)},
            now.mono);
        // Where nothing was sent for want of an endpoint.
        if (!before->endpoint && before->persistent_keepalive_s > 0)
            device_.on_no_session(peer, now);
        sessions_.carry_out(now);
    }
    settle(now);
}

}  // namespace meshgate::control
