// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/network_rules.h"

#include <algorithm>
#include <map>
#include <string>

namespace meshgate::mesh {

std::vector<IpAddress> nodes_of(const MemberTable& members) {
    std::vector<IpAddress> result;
    for (const config::Member& info : members.network().members)
        result.push_back(members.node_of(info));
    return result;
}

std::vector<RelayMember> relay_members(const MemberTable& members) {
    std::vector<RelayMember> result;
    if (!members.self())
        return result;
    for (const config::Member& info : members.network().members)
        result.push_back({members.node_of(info), info.relay});
    return result;
}

std::vector<PublishedMember> published_here(const MemberTable& members) {
    std::vector<PublishedMember> result;
    if (!members.is_relay())
        return result;
    for (const config::Member& info : members.network().members) {
        if (std::ranges::count(info.published, members.self()->name) != 0)
            result.push_back({members.node_of(info), info.public_key});
    }
    return result;
}

std::vector<ClientRule> client_rules(const MemberTable& members) {
    std::map<std::string, IpAddress> node_by_name;
    for (const config::Member& info : members.network().members)
        node_by_name[info.name] = members.node_of(info);
    std::vector<ClientRule> result;
    for (const config::Client& client : members.network().clients) {
        ClientRule& rule = result.emplace_back();
        rule.key = client.public_key;
        for (const std::string& box : client.boxes)
            rule.boxes.push_back(node_by_name.at(box));
    }
    return result;
}

}  // namespace meshgate::mesh
