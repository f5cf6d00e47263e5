// SPDX-License-Identifier: Apache-2.0
#include "config/authority.h"

#include <blake2.h>
#include <sodium.h>

#include <algorithm>
#include <span>

#include "base/assert.h"

namespace meshgate::config {
namespace {

constexpr size_t kHashLen = 32;
constexpr size_t kNetworkLen = 6;  // fd and 40 bits

std::array<uint8_t, kHashLen> hash_of(std::span<const uint8_t, 32> bytes) {
    std::array<uint8_t, kHashLen> hash{};
    MG_ASSERT(blake2s(hash.data(), bytes.data(), nullptr, hash.size(), bytes.size(), 0) == 0);
    return hash;
}

}  // namespace

std::optional<AuthorityKey> parse_authority_key(std::string_view base64) {
    const auto key = parse_public_key(base64);
    if (!key || crypto_core_ed25519_is_valid_point(key->bytes.data()) != 1)
        return std::nullopt;
    return AuthorityKey{key->bytes};
}

std::string to_string(const AuthorityKey& key) {
    return to_string(PublicKey{key.bytes});
}

Prefix node_prefix(const AuthorityKey& authority) {
    const auto hash = hash_of(authority.bytes);
    std::array<uint8_t, 16> address{0xfd};
    std::copy_n(hash.begin(), kNetworkLen - 1, address.begin() + 1);
    return Prefix{IpAddress::v6(address.data()), kNetworkLen * 8};
}

IpAddress node_address(const AuthorityKey& authority, const PublicKey& box) {
    const auto hash = hash_of(box.bytes);
    IpAddress address = node_prefix(authority).address;
    std::copy_n(hash.begin(), address.bytes.size() - kNetworkLen,
                address.bytes.begin() + kNetworkLen);
    return address;
}

IpAddress link_local_address(const PublicKey& box) {
    const auto hash = hash_of(box.bytes);
    std::array<uint8_t, 16> address{0xfe, 0x80};
    std::copy_n(hash.begin(), 8, address.begin() + 8);
    return IpAddress::v6(address.data());
}

}  // namespace meshgate::config
