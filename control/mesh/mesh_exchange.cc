// SPDX-License-Identifier: Apache-2.0
// The network file on its way from box to box.
#include <algorithm>

#include "control/mesh/mesh.h"

namespace meshgate::mesh {

void Mesh::set_neighbors(std::set<IpAddress> neighbors, Time now) {
    for (const IpAddress& node : neighbors) {
        if (neighbors_.contains(node))
            continue;
        files_.add_neighbor(node, now);
        clients_.add_neighbor(node, now);
    }
    for (const IpAddress& node : neighbors_) {
        if (neighbors.contains(node))
            continue;
        files_.remove_neighbor(node, now);
        clients_.remove_neighbor(node);
    }
    neighbors_ = std::move(neighbors);
}

// One end sees the link up before the other does, and speaks at once.
void Mesh::greet(const Member& member, Time now) {
    if (!neighbors_.insert(member.node).second)
        return;
    files_.add_neighbor(member.node, now);
    clients_.add_neighbor(member.node, now);
}

void Mesh::settle_exchanges(const Now& now) {
    for (auto& messages : {files_.take_messages(), clients_.take_messages(now.mono)}) {
        for (const Outgoing& outgoing : messages) {
            if (Member* member = member_at(outgoing.to))
                send(*member, outgoing.message);
        }
    }
    if (!clients_.take_changes().empty())
        routes_changed_ = true;
}

void Mesh::refuse(const FileCandidate& candidate, const std::string& why, const Now& now) {
    files_.refuse(candidate, now.mono);
    ++nb_alarms_;
    const Member* member = member_at(candidate.from);
    log(Log::Level::warning, "network-refused", member == nullptr ? "?" : member->info.name, why,
        now);
    settle_exchanges(now);
}

void Mesh::on_message(Member& member, const State& state, const LinkKey&, const Now& now) {
    greet(member, now.mono);
    member.network_version = state.network_version;
    files_.receive(member.node, state, now.mono);
    settle_exchanges(now);
}

void Mesh::on_message(Member& member, const FileRequest& request, const LinkKey&, const Now& now) {
    files_.receive(member.node, request, now.mono);
    settle_exchanges(now);
}

void Mesh::on_message(Member& member, const FilePiece& piece, const LinkKey&, const Now& now) {
    files_.receive(member.node, piece, now.mono);
    settle_exchanges(now);
}

}  // namespace meshgate::mesh
