// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/network.h"
#include "control/mesh/members/member.h"

namespace meshgate::mesh {

// The network file in force, and who is in the network by it; ourselves apart.
class MemberTable {
public:
    using Members = std::map<IpAddress, std::unique_ptr<Member>>;  // by node address

    MemberTable(const config::AuthorityKey& authority, const PublicKey& public_key);

    // Ourselves as the network file has us; nothing: we are not in it.
    const std::optional<config::Member>& self() const noexcept { return self_; }
    bool is_relay() const noexcept { return self_ && self_->relay; }
    const config::AuthorityKey& authority() const noexcept { return authority_; }
    const PublicKey& public_key() const noexcept { return public_key_; }
    const IpAddress& node() const noexcept { return node_; }
    const IpAddress& link_local() const noexcept { return link_local_; }
    const Prefix& node_prefix() const noexcept { return node_prefix_; }
    IpAddress node_of(const config::Member& info) const {
        return config::node_address(authority_, info.public_key);
    }

    // Says what is to be added and removed; the present ones have their new `info` afterwards.
    struct Changes {
        std::vector<Member*> gone;
        std::vector<config::Member> fresh;
    };
    Changes set_network(config::Network network);
    const config::Network& network() const noexcept { return network_; }
    Member& add(const config::Member& info, PeerId peer);
    void remove(const Member& member);

    Member* at(const IpAddress& node) const;
    Member* of(PeerId peer) const;
    Member* named(const std::string& name) const;
    const Members& all() const noexcept { return members_; }  // but ourselves
    size_t nb_up() const;                              // of them, those with a session and a path
    std::string name_at(const IpAddress& node) const;  // "?": nobody's

    // We keep a session with it whatever the traffic: relays with everybody; without relays in the
    // network, everybody with everybody.
    bool is_eager(const Member& member) const;
    bool has_relays() const noexcept { return has_relays_; }
    static bool is_active(const Member& member, Time now);

private:
    config::AuthorityKey authority_;
    config::Network network_;  // in force
    PublicKey public_key_;
    IpAddress node_;
    IpAddress link_local_;
    Prefix node_prefix_;
    std::optional<config::Member> self_;
    bool has_relays_ = false;
    Members members_;
    std::unordered_map<PeerId, Member*> by_peer_;
};

}  // namespace meshgate::mesh
