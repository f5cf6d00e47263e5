// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <tuple>
#include <vector>

#include "base/address.h"

namespace meshgate::config {

// Calls `found(outer, inner)` for each claim that the innermost of the others around it `excludes`;
// `found` returns whether to go on. A claim has a `prefix`, a network. One pass over all claims in
// order: whatever contains a prefix stands before it, and what still contains the current one is on
// the stack, at most one for each length.
template <typename Claim, typename Excludes, typename Found>
void find_overlaps(std::vector<Claim>& claims, Excludes excludes, Found found) {
    std::stable_sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
        return std::tie(a.prefix.address, a.prefix.len) < std::tie(b.prefix.address, b.prefix.len);
    });
    std::vector<const Claim*> around;
    for (const Claim& claim : claims) {
        while (!around.empty() && !around.back()->prefix.overlaps(claim.prefix))
            around.pop_back();
        const auto rival = std::find_if(around.rbegin(), around.rend(), [&](const Claim* other) {
            return excludes(*other, claim);
        });
        if (rival != around.rend() && !found(**rival, claim))
            return;
        if (around.empty() || around.back()->prefix != claim.prefix)
            around.push_back(&claim);
    }
}

}  // namespace meshgate::config
