// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/member_endpoints.h"

namespace meshgate::mesh {

std::vector<Endpoint> MemberEndpoints::of(const config::Member& member) const {
    std::vector<Endpoint> result;
    for (const config::MemberEndpoint& endpoint : member.endpoints) {
        if (endpoint.literal)
            result.push_back(*endpoint.literal);
        const auto found = addresses_.find(endpoint.host);
        if (endpoint.literal || found == addresses_.end())
            continue;
        for (const IpAddress& address : found->second)
            result.push_back({address, endpoint.port});
    }
    return result;
}

std::set<std::string> hosts_of(const MemberTable& members) {
    std::set<std::string> result;
    for (const auto& [node, member] : members.all()) {
        for (const config::MemberEndpoint& endpoint : member->info.endpoints) {
            if (!endpoint.host.empty())
                result.insert(endpoint.host);
        }
    }
    return result;
}

}  // namespace meshgate::mesh
