// SPDX-License-Identifier: Apache-2.0
#include "control/babel/source_table.h"

namespace meshgate::babel {

namespace {

// Feasibility distances are forgotten after this (RFC 8966, 3.2.5: minutes).
constexpr auto kSourceLife = std::chrono::minutes{3};

}  // namespace

bool SourceTable::feasible(const Source& source, uint16_t seqno, uint16_t metric) const noexcept {
    if (metric == kInfinity)
        return true;
    const auto found = entries_.find(source);
    if (found == entries_.end())
        return true;
    const FeasibilityDistance& known = found->second.distance;
    return seqno_less(known.seqno, seqno) || (known.seqno == seqno && metric < known.metric);
}

void SourceTable::announced(const Source& source, uint16_t seqno, uint16_t metric, Time now) {
    const auto [at, added] = entries_.try_emplace(source, Entry{{seqno, metric}, {}});
    FeasibilityDistance& known = at->second.distance;
    if (!added && seqno_less(known.seqno, seqno))
        known = {seqno, metric};
    else if (!added && known.seqno == seqno && metric < known.metric)
        known.metric = metric;
    at->second.expires = now + kSourceLife;
}

std::optional<FeasibilityDistance> SourceTable::find(const Source& source) const noexcept {
    const auto found = entries_.find(source);
    return found == entries_.end() ? std::nullopt : std::optional{found->second.distance};
}

void SourceTable::sweep(Time now) {
    std::erase_if(entries_, [now](const auto& entry) { return entry.second.expires <= now; });
}

}  // namespace meshgate::babel
