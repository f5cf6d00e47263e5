// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/address.h"
#include "config/network.h"
#include "control/mesh/members/member_table.h"

namespace meshgate::mesh {

// Endpoints of members in the network file; host names as far as they were looked up.
class MemberEndpoints {
public:
    // Empty: the name has no address any more.
    void set_addresses(const std::string& host, const std::vector<IpAddress>& addresses) {
        addresses_[host] = addresses;
    }
    std::vector<Endpoint> of(const config::Member& member) const;

private:
    std::map<std::string, std::vector<IpAddress>> addresses_;  // by host name
};

// Host names in endpoints of members, to be looked up.
std::set<std::string> hosts_of(const MemberTable& members);

}  // namespace meshgate::mesh
