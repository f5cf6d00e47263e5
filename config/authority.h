// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/keys.h"

namespace meshgate::config {

// Who a network is: the Ed25519 public key that its file is signed with. Never a PublicKey, which
// is a box's.
struct AuthorityKey {
    std::array<uint8_t, 32> bytes{};

    auto operator<=>(const AuthorityKey&) const = default;
};

// Base64 as for other keys. Empty for what is no such key, and for the points of small order, under
// which anybody's signature could be made to hold.
std::optional<AuthorityKey> parse_authority_key(std::string_view base64);
std::string to_string(const AuthorityKey& key);

// fd, 40 bits of BLAKE2s of the authority key: the /48 of all node addresses.
Prefix node_prefix(const AuthorityKey& authority);
// The node address of a box: the node prefix, then 80 bits of BLAKE2s of its public key.
IpAddress node_address(const AuthorityKey& authority, const PublicKey& box);
// The address of a box on its links, where Babel runs: fe80::/64 and 64 bits of the same hash.
IpAddress link_local_address(const PublicKey& box);

}  // namespace meshgate::config
