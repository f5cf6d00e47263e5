// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/keys.h"
#include "config/authority.h"
#include "config/model.h"
#include "config/text/diagnostic.h"

namespace meshgate::config {

// The network file as typed values: who is a member, what is behind each, who may connect. The same
// on every box; network_file.h says how it is spread and kept.

constexpr size_t kMaxNetworkBytes = size_t{4} << 20;  // a network file
constexpr size_t kMaxMemberEndpoints = 16;            // of one member

struct MemberEndpoint {
    std::string text;                 // as in the file
    std::optional<Endpoint> literal;  // an address
    std::string host;                 // or a DNS name and a port
    uint16_t port = 0;
    bool operator==(const MemberEndpoint&) const = default;
};

struct Member {
    std::string name;
    PublicKey public_key;
    std::vector<Prefix> prefixes;  // networks, host bits clear
    std::vector<MemberEndpoint> endpoints;
    bool relay = false;
    std::vector<std::string> published;  // relays at which stock clients find this member
    std::vector<std::string> tags;
    bool operator==(const Member&) const = default;
};

struct Client {
    std::string name;
    PublicKey public_key;
    std::vector<Prefix> addresses;   // networks, host bits clear
    std::vector<std::string> boxes;  // members that it may connect to; empty: any
    std::vector<std::string> tags;
    bool operator==(const Client&) const = default;
};

struct Network {
    uint64_t version = 0;  // 1 .. 2^53; the higher one wins
    std::string name;
    std::vector<Member> members;  // in file order
    std::vector<Client> clients;
    bool operator==(const Network&) const = default;
};

// A network when there is no error; diagnostics may hold warnings beside it.
struct NetworkResult {
    std::optional<Network> network;
    std::vector<Diagnostic> diagnostics;  // by place

    explicit operator bool() const noexcept { return network.has_value(); }
};

// Reads and checks the text of a network file; says nothing of who signed it. With the authority,
// prefixes are also held against the addresses of the boxes themselves.
NetworkResult parse_network(std::string_view text, const std::string& file_name,
                            const std::optional<AuthorityKey>& authority = std::nullopt);

// What this box's own file says against the network: peers that are members or clients, prefixes
// that others own, a key that is no member's. The box file is at fault, never the network file: a
// newer network file, which may revoke somebody, must not be refused for what one box has in its
// own.
std::vector<Diagnostic> check_against(const Model& model, const Network& network);

struct MemberChange {
    Member before, after;
    bool name = false;
    bool prefixes = false;   // as sets, and so the others
    bool endpoints = false;  // in any order
    bool relay = false;
    bool published = false;
    bool tags = false;
};

struct ClientChange {
    Client before, after;
    bool name = false;
    bool addresses = false;
    bool boxes = false;
    bool tags = false;
};

// Members and clients are their public keys: a new name for a key is a change, a new key under an
// old name is one removed and one added.
struct NetworkDiff {
    std::vector<Member> added_members, removed_members;
    std::vector<MemberChange> changed_members;
    std::vector<Client> added_clients, removed_clients;
    std::vector<ClientChange> changed_clients;

    bool empty() const noexcept;
};

NetworkDiff diff(const Network& before, const Network& after);

}  // namespace meshgate::config
