// SPDX-License-Identifier: Apache-2.0
// Stock clients that reach a member at a relay's address.
#include <algorithm>

#include "control/mesh/mesh.h"

namespace meshgate::mesh {

LinkId Mesh::open(const ClientAddress& client) {
    return links_.add({client.port, client.remote}, parts_.clock().mono);
}

void Mesh::close(LinkId link) {
    links_.remove(link);
}

void Mesh::set_published() {
    std::vector<PublishedMember> members;
    for (const config::Member& info : network_.members) {
        if (self_ && self_->relay && std::ranges::count(info.published, self_->name) != 0)
            members.push_back({config::node_address(authority_, info.public_key), info.public_key});
    }
    published_.set_published(members);
}

void Mesh::on_handshake_for_another(std::span<const uint8_t> bytes,
                                    const wireguard::Addressing& from, const Now& now) {
    std::optional<IpAddress> sender;
    if (const auto link = by_link_.find(links_.id_of({from.port, from.remote}));
        link != by_link_.end())
        sender = link->second->node;
    published_.receive(bytes, {.remote = from.remote, .local = from.local, .port = from.port},
                       sender, now.mono);
    settle_published(now);
}

void Mesh::settle_published(const Now& now) {
    for (const PublishedDatagram& datagram : published_.take_datagrams()) {
        wireguard::SendMessage message;
        message.message.len = std::min(datagram.bytes.size(), wireguard::Message::kMaxLen);
        std::copy_n(datagram.bytes.begin(), message.message.len, message.message.bytes.begin());
        message.to = {.remote = datagram.client.remote,
                      .local = datagram.client.local,
                      .port = datagram.client.port};
        if (datagram.link)
            links_.send(*datagram.link, message, now.mono);
        else
            parts_.send_as_is(message, now);
    }
}

}  // namespace meshgate::mesh
