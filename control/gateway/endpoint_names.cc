// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/endpoint_names.h"

#include <algorithm>

namespace meshgate::control {

void EndpointNames::set_peer(PeerId peer, const config::EndpointName& name) {
    peers_[peer] = {.name = name};
}

std::set<std::string> EndpointNames::hosts() const {
    std::set<std::string> result;
    for (const auto& [id, peer] : peers_)
        result.insert(peer.name.host);
    return result;
}

std::vector<EndpointNames::Move> EndpointNames::moves(const ProgressOf& progress_of,
                                                      const Usable& usable) {
    std::vector<Move> result;
    wanted_.clear();
    for (auto& [id, peer] : peers_) {
        const Progress progress = progress_of(id);
        if (progress.answers)
            continue;
        if (progress.asks)
            wanted_.insert(peer.name.host);
        const auto to = next(peer, progress, usable);
        if (!to)
            continue;
        peer.initiations_sent = progress.initiations_sent;
        if (to != progress.endpoint)
            result.push_back({id, *to});
    }
    return result;
}

// Empty: it has to be tried longer where it is, or there is nowhere else.
std::optional<Endpoint> EndpointNames::next(Peer& peer, const Progress& progress,
                                            const Usable& usable) const {
    const auto known = addresses_.find(peer.name.host);
    if (known == addresses_.end())
        return std::nullopt;
    std::vector<Endpoint> candidates;
    for (const IpAddress& address : known->second) {
        if (usable(address))
            candidates.push_back({address, peer.name.port});
    }
    if (candidates.empty())
        return std::nullopt;
    const auto present =
        progress.endpoint ? std::ranges::find(candidates, *progress.endpoint) : candidates.end();
    if (present == candidates.end())
        return candidates.front();
    if (progress.initiations_sent <= peer.initiations_sent + 1)
        return std::nullopt;
    return present + 1 == candidates.end() ? candidates.front() : *(present + 1);
}

}  // namespace meshgate::control
