// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/network.h"
#include "config/schema/values.h"

namespace meshgate::config {

// The kinds of values that only a network file has.

void read_version(const Input& in, uint64_t& out);
// As read_networks(), and refuses link-local prefixes, which belong to no box.
void read_owned_networks(const Input& in, std::vector<Prefix>& out);
void read_member_endpoint(const Input& in, MemberEndpoint& out);
void read_member_endpoints(const Input& in, std::vector<MemberEndpoint>& out);
void read_names(const Input& in, std::vector<std::string>& out);
void read_tags(const Input& in, std::vector<std::string>& out);

// "gw.example.net": what may be asked of a name server.
bool is_host_name(std::string_view text) noexcept;

inline constexpr ValueType<uint64_t> kVersionType{
    "a whole number from 1 to 9007199254740992 (2^53)", read_version, show_number<uint64_t>};
inline constexpr ValueType<std::vector<Prefix>> kOwnedNetworksType{
    "prefixes such as 10.1.0.0/16 or \"fd10:1::/48\", or single addresses; one or a list",
    read_owned_networks, show_prefixes};
inline constexpr ValueType<std::vector<MemberEndpoint>> kMemberEndpointsType{
    "addresses or names with a UDP port, such as 198.51.100.2:51820, \"[2001:db8::7]:51820\" or "
    "gw.example.net:51820; one or a list of 16 at most",
    read_member_endpoints, nullptr};
inline constexpr ValueType<std::vector<std::string>> kNamesType{
    "names of members; one or a list of 256 at most", read_names, nullptr};
inline constexpr ValueType<std::vector<std::string>> kTagsType{
    "words: 1 to 63 of A-Z a-z 0-9 . _ -, first a letter or digit; one or a list of 32 at most",
    read_tags, nullptr};

}  // namespace meshgate::config
