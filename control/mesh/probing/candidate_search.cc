// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/candidate_search.h"

#include <vector>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// A link by which the member was heard so lately works: the member is told where we see it.
constexpr auto kHeardLately = 5s;
// What others say of where they see us holds while their link works.
constexpr auto kSeenLife = 60s;

}  // namespace

void CandidateSearch::review(Member& member, Time now) {
    for (const auto& [key, link] : parts_.links.of(member)) {
        if (link.heard && now - *link.heard < kHeardLately &&
            exchange_.is_report_due(link.id, now) &&
            parts_.channel.send(member, Seen{key.remote}, link.id))
            exchange_.on_reported(link.id, now);
    }
    if (!member.is_relayed() || !MemberTable::is_active(member, now))
        exchange_.stop(member.node);
    else if (exchange_.poll(member.node, now))
        send(member, true, now);
}

void CandidateSearch::receive(const Member& member, const LinkKey& from, const Seen& seen) {
    const auto& links = parts_.links.of(member);
    if (const auto link = links.find(from); link != links.end())
        exchange_.on_seen(link->second.id, seen.endpoint);
}

void CandidateSearch::receive(Member& member, const Candidates& said, Time now) {
    if (!exchange_.accepts(member.node, now))
        return;
    parts_.prober.probe_candidates(member, said.endpoints, now);
    if (said.answer)
        send(member, false, now);
}

void CandidateSearch::send(Member& member, bool answer, Time now) {
    std::vector<Endpoint> local;
    for (const UnderlayPort& port : parts_.underlay.ports()) {
        for (const Prefix& address : port.addresses)
            local.push_back({address.address, parts_.underlay.listen_port()});
    }
    const auto heard = parts_.links.heard_since(now - kSeenLife);
    parts_.channel.send(member, Candidates{exchange_.own(heard, local), answer});
}

}  // namespace meshgate::mesh
