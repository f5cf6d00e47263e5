// SPDX-License-Identifier: Apache-2.0
#include "control/sessions/session_count.h"

namespace meshgate::control {

void SessionCount::forget(PeerId peer) {
    stop(peer);
    clients_.erase(peer);
}

void SessionCount::use(PeerId peer, uint64_t reject_after_tsc) {
    stop(peer);
    ends_[peer] = reject_after_tsc;
    ends_in_order_.emplace(reject_after_tsc, peer);
    ++number_of(peer);
}

void SessionCount::stop(PeerId peer) {
    const auto end = ends_.find(peer);
    if (end == ends_.end())
        return;
    ends_in_order_.erase({end->second, peer});
    ends_.erase(end);
    --number_of(peer);
}

const SessionCount::Numbers& SessionCount::at(uint64_t tsc_now) {
    while (!ends_in_order_.empty() && ends_in_order_.begin()->first <= tsc_now)
        stop(ends_in_order_.begin()->second);
    return numbers_;
}

}  // namespace meshgate::control
