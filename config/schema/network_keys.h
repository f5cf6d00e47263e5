// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/network.h"
#include "config/schema/schema.h"
#include "config/text/report.h"
#include "config/text/tree.h"

namespace meshgate::config {

inline constexpr FileKind kNetworkFile{
    "a network file", kMaxNetworkBytes, 500'000,
    "split the network: 10 000 members, each with a few prefixes and endpoints, fit"};

const Schema<Network>& network_schema();
// As bind() does for a box file.
Network bind_network(const YamlNode& root, Report& report);
// What members and clients say about one another.
void validate_network(const YamlNode& root, const Network& network, Report& report,
                      const std::optional<AuthorityKey>& authority);

}  // namespace meshgate::config
