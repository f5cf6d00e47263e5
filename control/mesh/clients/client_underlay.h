// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "base/time.h"
#include "control/mesh/clients/relayed_clients.h"
#include "control/underlay/links.h"

namespace meshgate::mesh {

// The underlay as clients of other members use it: a link to each, and handshake messages as they
// came.
class ClientUnderlay final : public ClientLinks {
public:
    ClientUnderlay(control::Links& links, Clock clock) : links_{links}, clock_{std::move(clock)} {}

    LinkId open(const ClientAddress& client) override {
        // A client does not answer probes.
        return links_.add({client.port, client.remote}, clock_().mono, OuterFragments::allowed);
    }
    void close(LinkId link) override { links_.remove(link); }
    void send(const RelayedClientsDatagram& datagram, Time now);

private:
    control::Links& links_;
    Clock clock_;
};

}  // namespace meshgate::mesh
