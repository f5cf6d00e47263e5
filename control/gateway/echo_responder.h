// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/time.h"
#include "base/token_bucket.h"
#include "control/neighbor/messages.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// Answers echo requests to the box, as many as are good for finding faults.
class EchoResponder {
public:
    explicit EchoResponder(Dataplane& dataplane) : dataplane_{dataplane} {}

    // Out of a session: the answer is routed.
    void answer_peer(Packet packet, Time now);
    // From a port: back to where it came from, which also serves link-local addresses.
    void answer_port(Packet packet, const PortIdentity& identity, Time now);

private:
    bool make_reply(Packet& packet, Time now);

    Dataplane& dataplane_;
    TokenBucket replies_{1000, 1000};
};

}  // namespace meshgate::control
