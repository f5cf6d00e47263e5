// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <set>
#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "base/time.h"
#include "config/network.h"
#include "control/underlay/links.h"
#include "control/wireguard/device.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::mesh {

// The peer that stands for each member in the packet path and in the WireGuard device. It has no
// endpoint: its handshakes go to the node address, and its datagrams wait for a path.
class MemberPeers {
public:
    struct Parts {  // all outlive this
        Dataplane& dataplane;
        wireguard::Device& device;
        control::Links& links;
        // Gives a peer's slot its name.
        std::function<void(PeerId, const std::string&)> set_name;
    };
    explicit MemberPeers(Parts parts) : parts_{std::move(parts)} {}
    MemberPeers(const MemberPeers&) = delete;
    MemberPeers& operator=(const MemberPeers&) = delete;
    ~MemberPeers();

    enum class Refusal : uint8_t {
        no_room,
        key_taken,  // by a peer in the box file
    };
    // Fails without a change.
    tl::expected<PeerId, Refusal> add(const config::Member& info, const IpAddress& node,
                                      const Now& now);
    void rename(PeerId peer, const std::string& name) { parts_.set_name(peer, name); }
    // Its sessions end.
    void remove(PeerId peer, const Now& now);
    // Removed since the last call. Their slots are to be given back after a snapshot without their
    // prefixes was published.
    std::vector<PeerId> take_departed() { return std::exchange(departed_, {}); }

private:
    Parts parts_;
    std::set<PeerId> peers_;
    std::vector<PeerId> departed_;
};

}  // namespace meshgate::mesh
