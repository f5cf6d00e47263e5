// SPDX-License-Identifier: Apache-2.0
// Everything in control/mesh is namespace meshgate::mesh: namespaces follow the rooms of control/
// (wireguard, babel, mesh), and what ties rooms together (gateway, sessions, underlay, routing) is
// meshgate::control.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/time.h"
#include "base/token_bucket.h"
#include "config/network.h"
#include "control/mesh/members/next_hop.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::mesh {

// Whether users' packets go to and come from a member: what the packet path counted less what we
// sent and received ourselves. Keepalives are no traffic either.
class UserTraffic {
public:
    void on_control_sent() noexcept { ++control_tx_; }
    void on_control_received() noexcept { ++control_rx_; }
    // What the packet path has counted until now.
    void update(const Dataplane::Activity& seen, Time now);
    // Somebody wants to reach it, or it us.
    void on_wanted(Time now) noexcept { last_ = now; }
    bool since(Time time) const noexcept { return last_ && *last_ > time; }

private:
    uint64_t control_tx_ = 0, control_rx_ = 0;
    uint64_t user_tx_ = 0, user_rx_ = 0;
    uint64_t data_tx_tsc_ = 0, data_rx_tsc_ = 0;
    std::optional<Time> last_;
};

// Another box of the network, with what every part goes by. Ourselves are not among them. What only
// one part needs to know of a member is that part's.
struct Member {
    config::Member info;
    IpAddress node;
    IpAddress link_local;
    PeerId peer = kNoPeer;
    uint64_t network_version = 0;  // that it told us; 0: none yet
    // Control messages from it: a member that sends more is not listened to.
    TokenBucket control_rate{500, 1000};
    UserTraffic traffic;
    std::map<uint32_t, uint32_t> keypairs;  // local index -> remote index, all that live
    std::optional<PathChoice> path;         // in force; member_paths.h decides

    bool is_up() const noexcept { return has_session() && path; }
    bool has_session() const noexcept { return !keypairs.empty(); }
    bool is_direct() const noexcept { return path && path->via.node == node; }
    bool is_relayed() const noexcept { return path && path->via.node != node; }
};

}  // namespace meshgate::mesh
