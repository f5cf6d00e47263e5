// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/address.h"
#include "config/model.h"
#include "dataplane/api/link.h"

namespace meshgate::control {

// Peers of the box file whose endpoint is a name: at which of its addresses each is tried. A peer
// that answers stays where it is, whatever the name says; one that does not is tried at the next
// address with each initiation that had no answer. Sans-I/O: control/mesh/members/resolver.h asks.
class EndpointNames {
public:
    void set_peer(PeerId peer, const config::EndpointName& name);
    void remove_peer(PeerId peer) { peers_.erase(peer); }
    bool any() const noexcept { return !peers_.empty(); }
    std::set<std::string> hosts() const;

    void set_addresses(const std::string& host, const std::vector<IpAddress>& addresses) {
        addresses_[host] = addresses;
    }

    // How it goes with a peer.
    struct Progress {
        bool answers = false;                // a session, and our initiations have their answers
        bool asks = false;                   // somebody wants a session: initiations are being sent
        std::optional<Endpoint> endpoint{};  // where its datagrams go now
        uint64_t initiations_sent = 0;
    };
    struct Move {
        PeerId peer;
        Endpoint to;
    };
    // Where peers shall be tried from now on. `usable`: no address of ours, and some port leads
    // there.
    using ProgressOf = std::function<Progress(PeerId)>;
    using Usable = std::function<bool(const IpAddress&)>;
    std::vector<Move> moves(const ProgressOf& progress_of, const Usable& usable);
    // Names of peers that were asked in vain when moves() last looked: better asked for soon.
    const std::set<std::string>& wanted() const noexcept { return wanted_; }

private:
    struct Peer {
        config::EndpointName name;
        uint64_t initiations_sent = 0;  // when it was last moved
    };

    std::optional<Endpoint> next(Peer& peer, const Progress& progress, const Usable& usable) const;

    std::map<PeerId, Peer> peers_;
    std::map<std::string, std::vector<IpAddress>> addresses_;  // by host
    std::set<std::string> wanted_;
};

}  // namespace meshgate::control
