// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "base/token_bucket.h"
#include "dataplane/api/link.h"

namespace meshgate::mesh {

// Endpoints at which two boxes may reach each other directly, though NATs are between them. Each
// box tells the other ends of its links where it sees them; two boxes that only reach each other
// over relays exchange what they were told and probe each other at about the same moment, so that
// NATs on both sides let the other's probes in.
class CandidateExchange {
public:
    // ---- what others see of us ----
    void on_seen(LinkId link, const Endpoint& as) { links_[link].seen_as = as; }
    // Whether the other end of a link that works is to be told again where we see it.
    bool is_report_due(LinkId link, Time now) const;
    void on_reported(LinkId link, Time now);
    void forget_link(LinkId link) { links_.erase(link); }
    // Our own endpoints: as seen by these links, then `local`; plausible ones, without repetition.
    std::vector<Endpoint> own(const std::set<LinkId>& heard_lately,
                              const std::vector<Endpoint>& local) const;

    // ---- exchange with a member ----
    // Often at first, then seldom (backoff). True: it is to be sent our candidates now.
    bool poll(const IpAddress& member, Time now);
    // It is reached directly, or nobody talks to it: the next search starts with the short
    // interval.
    void stop(const IpAddress& member);
    // Whether a message of it is to be looked at; a member must not make us probe the world.
    bool accepts(const IpAddress& member, Time now);
    void forget(const IpAddress& member) { members_.erase(member); }
    // Nothing: no search has begun.
    std::optional<Time> next_try(const IpAddress& member) const;

private:
    struct Seen {
        std::optional<Endpoint> seen_as;  // where they see us by this link
        Time next_report{};
    };
    struct Search {
        Time next{};
        unsigned nb_rounds = 0;
        TokenBucket received{0.5, 5};  // messages with its endpoints
    };

    std::map<LinkId, Seen> links_;
    std::map<IpAddress, Search> members_;
};

}  // namespace meshgate::mesh
