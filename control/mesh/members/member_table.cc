// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/member_table.h"

#include <algorithm>
#include <utility>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// A member without traffic for so long is idle: its links are no longer probed, its session ends.
constexpr auto kIdleAfter = 60s;

}  // namespace

void UserTraffic::update(const Dataplane::Activity& seen, Time now) {
    const auto grew = [](uint64_t& user, uint64_t counted, uint64_t control) {
        const uint64_t present = counted - std::min(counted, control);
        return present > std::exchange(user, std::max(user, present));
    };
    const bool sent = seen.last_data_tx_tsc != std::exchange(data_tx_tsc_, seen.last_data_tx_tsc);
    const bool received =
        seen.last_data_rx_tsc != std::exchange(data_rx_tsc_, seen.last_data_rx_tsc);
    const bool more_sent = grew(user_tx_, seen.tx_packets, control_tx_);
    const bool more_received = grew(user_rx_, seen.rx_packets, control_rx_);
    if ((sent && more_sent) || (received && more_received))
        last_ = now;
}

MemberTable::MemberTable(const config::AuthorityKey& authority, const PublicKey& public_key)
    : authority_{authority},
      public_key_{public_key},
      node_{config::node_address(authority, public_key)},
      link_local_{config::link_local_address(public_key)},
      node_prefix_{config::node_prefix(authority)} {}

MemberTable::Changes MemberTable::set_network(config::Network network) {
    network_ = std::move(network);
    const auto& everybody = network_.members;
    const auto self = std::ranges::find(everybody, public_key_, &config::Member::public_key);
    self_.reset();
    if (self != everybody.end())
        self_ = *self;
    has_relays_ = std::ranges::any_of(everybody, &config::Member::relay);
    std::map<IpAddress, const config::Member*> wanted;
    for (const config::Member& info : everybody) {
        if (self_ && info.public_key != public_key_)
            wanted[node_of(info)] = &info;
    }
    Changes changes;
    for (const auto& [node, member] : members_) {
        if (!wanted.contains(node))
            changes.gone.push_back(member.get());
    }
    for (const auto& [node, info] : wanted) {
        if (Member* member = at(node))
            member->info = *info;
        else
            changes.fresh.push_back(*info);
    }
    return changes;
}

Member& MemberTable::add(const config::Member& info, PeerId peer) {
    auto member = std::make_unique<Member>();
    member->info = info;
    member->node = node_of(info);
    member->link_local = config::link_local_address(info.public_key);
    member->peer = peer;
    Member& added = *member;
    by_peer_[peer] = &added;
    members_[added.node] = std::move(member);
    return added;
}

void MemberTable::remove(const Member& member) {
    by_peer_.erase(member.peer);
    members_.erase(IpAddress{member.node});
}

Member* MemberTable::at(const IpAddress& node) const {
    const auto found = members_.find(node);
    return found == members_.end() ? nullptr : found->second.get();
}

Member* MemberTable::of(PeerId peer) const {
    const auto found = by_peer_.find(peer);
    return found == by_peer_.end() ? nullptr : found->second;
}

Member* MemberTable::named(const std::string& name) const {
    const auto found = std::ranges::find_if(
        members_, [&](const auto& entry) { return entry.second->info.name == name; });
    return found == members_.end() ? nullptr : found->second.get();
}

std::string MemberTable::name_at(const IpAddress& node) const {
    if (node == node_ && self_)
        return self_->name;
    const Member* member = at(node);
    return member == nullptr ? "?" : member->info.name;
}

size_t MemberTable::nb_up() const {
    return static_cast<size_t>(
        std::ranges::count_if(members_, [](const auto& entry) { return entry.second->is_up(); }));
}

bool MemberTable::is_eager(const Member& member) const {
    return self_ && (self_->relay || member.info.relay || !has_relays_);
}

bool MemberTable::is_active(const Member& member, Time now) {
    return member.traffic.since(now - kIdleAfter);
}

}  // namespace meshgate::mesh
