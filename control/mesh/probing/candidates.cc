// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/candidates.h"

#include <algorithm>

#include "control/mesh/protocol/messages.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// Between two exchanges of candidates: a NAT that can be opened opens within the first few.
constexpr auto kFirstInterval = 2s;
constexpr unsigned kOftenAtFirst = 5;
// A NAT may be replaced, or get another address: tried for as long as the relay is needed.
constexpr auto kLastInterval = 60s;
// How often the other end of a link is told where we see it.
constexpr auto kReportInterval = 20s;

}  // namespace

bool CandidateExchange::is_report_due(LinkId link, Time now) const {
    const auto seen = links_.find(link);
    return seen == links_.end() || now >= seen->second.next_report;
}

void CandidateExchange::on_reported(LinkId link, Time now) {
    links_[link].next_report = now + kReportInterval;
}

std::vector<Endpoint> CandidateExchange::own(const std::set<LinkId>& heard_lately,
                                             const std::vector<Endpoint>& local) const {
    std::vector<Endpoint> result;
    const auto add = [&result](const Endpoint& endpoint) {
        if (is_plausible(endpoint) && result.size() < kMaxCandidates &&
            std::ranges::find(result, endpoint) == result.end())
            result.push_back(endpoint);
    };
    for (const auto& [link, seen] : links_) {
        if (seen.seen_as && heard_lately.contains(link))
            add(*seen.seen_as);
    }
    for (const Endpoint& endpoint : local)
        add(endpoint);
    return result;
}

bool CandidateExchange::poll(const IpAddress& member, Time now) {
    Search& search = members_[member];
    if (now < search.next)
        return false;
    const bool often = ++search.nb_rounds <= kOftenAtFirst;
    search.next = now + (often ? kFirstInterval : kLastInterval);
    return true;
}

void CandidateExchange::stop(const IpAddress& member) {
    if (const auto search = members_.find(member); search != members_.end())
        search->second.nb_rounds = 0;
}

bool CandidateExchange::accepts(const IpAddress& member, Time now) {
    return members_[member].received.take(now);
}

std::optional<Time> CandidateExchange::next_try(const IpAddress& member) const {
    const auto search = members_.find(member);
    if (search == members_.end() || search->second.next == Time{})
        return std::nullopt;
    return search->second.next;
}

}  // namespace meshgate::mesh
