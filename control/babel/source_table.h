// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "base/time.h"
#include "control/babel/tlv.h"

namespace meshgate::babel {

// A router that originates a prefix.
struct Source {
    Prefix prefix;
    RouterId router_id{};

    auto operator<=>(const Source&) const = default;
};

// How good the best route was that we ever announced: whoever is not better may go through us.
struct FeasibilityDistance {
    uint16_t seqno = 0;
    uint16_t metric = kInfinity;
};

// RFC 8966 section 3.2.5. An entry stays three minutes after it was last announced.
class SourceTable {
public:
    // May a route with this seqno and advertised metric be used without danger of a loop (3.5.1)?
    bool feasible(const Source& source, uint16_t seqno, uint16_t metric) const noexcept;
    // Must come before a finite metric is sent (3.7.3).
    void announced(const Source& source, uint16_t seqno, uint16_t metric, Time now);
    std::optional<FeasibilityDistance> find(const Source& source) const noexcept;
    void sweep(Time now);
    size_t size() const noexcept { return entries_.size(); }

private:
    struct Entry {
        FeasibilityDistance distance;
        Time expires;
    };
    std::map<Source, Entry> entries_;
};

}  // namespace meshgate::babel
