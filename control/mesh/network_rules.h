// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "control/mesh/clients/client_roaming.h"
#include "control/mesh/clients/relayed_clients.h"
#include "control/mesh/members/member_table.h"
#include "control/mesh/relays/relay_table.h"

namespace meshgate::mesh {

// What the network file in force says, in the terms of each part. Pure.

std::vector<IpAddress> nodes_of(const MemberTable& members);  // ourselves included
// For whom and by whom datagrams may be relayed; nobody, at a box that is no member.
std::vector<RelayMember> relay_members(const MemberTable& members);
// Members that name us as a relay for their clients.
std::vector<PublishedMember> published_here(const MemberTable& members);
// Where each client may connect.
std::vector<ClientRule> client_rules(const MemberTable& members);

}  // namespace meshgate::mesh
