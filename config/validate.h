// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/model.h"
#include "config/report.h"
#include "config/tree.h"

namespace meshgate::config {

// What the values of a box file say about one another, the key files included; fills in what
// follows from them (public key, preshared key tags, wg_socket). `root` gives the places.
void validate(const YamlNode& root, Model& model, Report& report);

// Its parts, in the order in which they run.
void validate_ports(const YamlNode& root, const Model& model, Report& report);
void validate_routes(const YamlNode& root, const Model& model, Report& report);
void validate_peers(const YamlNode& root, const Model& model, Report& report);
// No prefix may lead to two places.
void validate_prefixes(const YamlNode& root, const Model& model, Report& report);

}  // namespace meshgate::config
