// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "control/babel/speaker.h"
#include "control/mesh/members/member_table.h"
#include "control/mesh/probing/member_links.h"

namespace meshgate::mesh {

// Which node addresses may be announced between members, by the roles in the network file.
class AnnouncePolicy final : public babel::Policy {
public:
    AnnouncePolicy(const MemberTable& members, const MemberLinks& links)
        : members_{members}, links_{links} {}

    // A member speaks for itself; a relay also for other members, whom it forwards to.
    bool may_announce(const babel::NeighborId& neighbor, const Prefix& prefix) const override;
    bool may_export(babel::InterfaceId, const Prefix&, bool) const override { return true; }
    // What the member hears from us.
    babel::Announce announce_to(const Member& member) const;

private:
    const MemberTable& members_;
    const MemberLinks& links_;
};

}  // namespace meshgate::mesh
