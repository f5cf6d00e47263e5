// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// How many peers have a session that may send. Counted as sessions come and go, so that asking
// costs the same for one peer and for ten thousand.
class SessionCount {
public:
    struct Numbers {
        size_t peers = 0;    // of the box file and members
        size_t clients = 0;  // of the network file
    };

    // The peer is a client, until it is forgotten; before its first session.
    void set_client(PeerId peer) { clients_.insert(peer); }
    void forget(PeerId peer);
    // The peer sends under a keypair that is refused from `reject_after_tsc` on (W30).
    void use(PeerId peer, uint64_t reject_after_tsc);
    void stop(PeerId peer);
    // What has expired by then counts no more.
    const Numbers& at(uint64_t tsc_now);

private:
    size_t& number_of(PeerId peer) {
        return clients_.contains(peer) ? numbers_.clients : numbers_.peers;
    }

    Numbers numbers_;
    std::unordered_map<PeerId, uint64_t> ends_;            // reject_after_tsc
    std::set<std::pair<uint64_t, PeerId>> ends_in_order_;  // the same
    std::unordered_set<PeerId> clients_;
};

}  // namespace meshgate::control
