// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace meshgate::cli {

// The mesh as text for people, like show.h.
std::string links_text(const nlohmann::ordered_json& result);
std::string paths_text(const nlohmann::ordered_json& result);
std::string members_text(const nlohmann::ordered_json& result);
std::string relays_text(const nlohmann::ordered_json& result);
std::string explain_text(const nlohmann::ordered_json& result);
std::string push_text(const nlohmann::ordered_json& result);
// The line of `status`; empty for a box without a network.
std::string network_line(const nlohmann::ordered_json& status);

}  // namespace meshgate::cli
