// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "control/api/views.h"
#include "control/mesh/clients/relayed_clients.h"
#include "control/mesh/members/channel.h"
#include "control/mesh/members/member_table.h"
#include "control/mesh/neighbor_exchange.h"
#include "control/mesh/paths/member_paths.h"
#include "control/mesh/probing/candidate_search.h"
#include "control/mesh/probing/link_prober.h"
#include "control/mesh/relays/relay_table.h"
#include "control/underlay/links.h"
#include "control/wireguard/device.h"

namespace meshgate::mesh {

// What can be seen of the mesh: enumerations and numbers; cli/ and the page make sentences of them.
class MeshViews {
public:
    // All outlive this.
    struct Parts {
        const Dataplane& dataplane;
        const wireguard::Device& device;
        const control::Links& underlay;
        const MemberTable& members;
        const Channel& channel;
        const PortTerms& port_terms;
        const MemberLinks& links;
        const LinkProber& prober;
        const CandidateSearch& candidates;
        const MemberPaths& paths;
        const RelayTable& relays;
        const NeighborExchange& exchange;
        const RelayedClients& relayed_clients;
    };
    MeshViews(const Parts& parts, Time created) : parts_{parts}, created_{created} {}

    std::vector<control::ResultCount> events() const;
    // Each a sentence for the operator.
    std::vector<std::string> problems(const Now& now) const;
    std::vector<control::LinkView> links(const Now& now) const;
    std::vector<control::MeshPathView> paths(const Now& now) const;
    std::optional<control::MeshPathView> path_of(PeerId peer, const Now& now) const;
    std::vector<control::MemberView> members(const Now& now) const;
    std::vector<control::RelayView> relays(const Now& now) const;
    // Nothing: no member has this name.
    std::optional<control::ExplainView> explain(const std::string& name, const Now& now) const;

private:
    control::SessionState session_state(const Member& member) const;
    control::MeshPathView path_view(const Member& member, const Now& now) const;
    std::vector<control::ExplainView::Relay> relays_to(const Member& member) const;

    Parts parts_;
    Time created_{};
};

}  // namespace meshgate::mesh
