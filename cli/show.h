// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace meshgate::cli {

enum class Colour : uint8_t { off, on };
enum class Zeros : uint8_t { hide, show };

// Answers as text for people. Each takes the "result" of the API; every word of it is made
// printable, since names come from files. A member of another type than it should have makes
// nlohmann::json throw.
struct StatusAnswers {
    const nlohmann::ordered_json& status;
    const nlohmann::ordered_json& ports;
    const nlohmann::ordered_json& workers;
    const nlohmann::ordered_json& drops;
};
std::string status_text(const StatusAnswers& answers, int64_t now_unix_s, Colour colour);
std::string peers_text(const nlohmann::ordered_json& result, int64_t now_unix_s);
// All about each peer, below one another.
std::string peer_details_text(const nlohmann::ordered_json& result, int64_t now_unix_s);
std::string routes_text(const nlohmann::ordered_json& result);
std::string ports_text(const nlohmann::ordered_json& result);
std::string drops_text(const nlohmann::ordered_json& result, Zeros zeros);
std::string workers_text(const nlohmann::ordered_json& result);
std::string babel_text(const nlohmann::ordered_json& result);
std::string reload_text(const nlohmann::ordered_json& result);

}  // namespace meshgate::cli
