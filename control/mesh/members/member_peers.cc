// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/member_peers.h"

namespace meshgate::mesh {

MemberPeers::~MemberPeers() {
    for (const PeerId peer : peers_)
        parts_.links.refuse(peer);
}

tl::expected<PeerId, MemberPeers::Refusal> MemberPeers::add(const config::Member& info,
                                                            const IpAddress& node, const Now& now) {
    const PeerId peer = parts_.dataplane.add_peer();
    if (peer == kNoPeer)
        return tl::unexpected{Refusal::no_room};
    parts_.links.wait(peer);
    const auto added = parts_.device.add_peer(peer,
                                              {.public_key = info.public_key,
                                               .preshared_key = SecretKey{},
                                               .endpoint = wireguard::NodeAddress{node}},
                                              now);
    if (!added) {
        parts_.links.refuse(peer);
        parts_.dataplane.remove_peer(peer);
        return tl::unexpected{Refusal::key_taken};
    }
    // Its datagrams come by many links and relays: nobody need be told where from.
    parts_.dataplane.set_path_is_fixed(peer);
    rename(peer, info.name);
    peers_.insert(peer);
    return peer;
}

void MemberPeers::remove(PeerId peer, const Now& now) {
    parts_.links.refuse(peer);
    parts_.device.remove_peer(peer, now);
    peers_.erase(peer);
    departed_.push_back(peer);
}

}  // namespace meshgate::mesh
