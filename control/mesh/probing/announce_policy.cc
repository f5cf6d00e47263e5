// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/announce_policy.h"

namespace meshgate::mesh {

bool AnnouncePolicy::may_announce(const babel::NeighborId& neighbor, const Prefix& prefix) const {
    const Member* member = links_.member_of(neighbor.interface);
    if (member == nullptr)
        return false;
    if (prefix == Prefix{member->node, 128})
        return true;
    if (!member->info.relay)
        return false;
    if (prefix == members_.node_prefix())
        return true;
    return prefix.len == 128 &&
           (members_.at(prefix.address) != nullptr || prefix.address == members_.node());
}

babel::Announce AnnouncePolicy::announce_to(const Member& member) const {
    if (!members_.is_relay())
        return babel::Announce::own_only;
    return member.info.relay ? babel::Announce::everything : babel::Announce::aggregates;
}

}  // namespace meshgate::mesh
