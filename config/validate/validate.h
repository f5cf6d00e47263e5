// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "config/model.h"
#include "config/text/report.h"
#include "config/text/tree.h"

namespace meshgate::config {

// What the values of a box file say about one another, the key files included; fills in what
// follows from them (public key, tags of keys, wg_socket, which ports speak Babel). `root` gives
// the places.
void validate(const YamlNode& root, Model& model, Report& report);

// A keyed hash, so that it tells nothing about the secret to whoever sees the model.
std::array<uint8_t, 16> tag_of(std::span<const uint8_t> secret);

// Its parts, in the order in which they run.
void validate_ports(const YamlNode& root, const Model& model, Report& report);
void validate_routes(const YamlNode& root, const Model& model, Report& report);
void validate_peers(const YamlNode& root, const Model& model, Report& report);
void validate_babel(const YamlNode& root, Model& model, Report& report);
// No prefix may lead to two places.
void validate_prefixes(const YamlNode& root, const Model& model, Report& report);

}  // namespace meshgate::config
