// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/time.h"
#include "control/mesh/members/channel.h"
#include "control/mesh/probing/candidates.h"
#include "control/mesh/probing/link_prober.h"
#include "control/mesh/probing/member_links.h"
#include "control/underlay/links.h"

namespace meshgate::mesh {

// Looks for direct links to members that only relays reach: tells neighbours where we see them, and
// exchanges endpoints with members, which both ends then probe. candidates.h says when.
class CandidateSearch {
public:
    struct Parts {  // all outlive this
        const control::Links& underlay;
        const MemberLinks& links;
        LinkProber& prober;
        Channel& channel;
    };
    explicit CandidateSearch(const Parts& parts) : parts_{parts} {}

    // Of a member with a session, now and then.
    void review(Member& member, Time now);
    // It sees us there, by the link that its message came by.
    void receive(const Member& member, const LinkKey& from, const Seen& seen);
    void receive(Member& member, const Candidates& said, Time now);
    void forget_link(LinkId link) { exchange_.forget_link(link); }
    void forget(const Member& member) { exchange_.forget(member.node); }
    // Nothing: no search has begun.
    std::optional<Time> next_try(const Member& member) const {
        return exchange_.next_try(member.node);
    }

private:
    void send(Member& member, bool answer, Time now);

    Parts parts_;
    CandidateExchange exchange_;
};

}  // namespace meshgate::mesh
