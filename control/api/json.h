// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "control/api/views.h"

namespace meshgate::control {

// The schema of the answers. Members are only ever added; a change of meaning or a removal needs a
// new kSchema, which stands in every answer.
constexpr int kSchema = 1;

nlohmann::ordered_json to_json(const StatusView& status);
nlohmann::ordered_json to_json(const PeerView& peer);
nlohmann::ordered_json to_json(const RouteView& route);
nlohmann::ordered_json to_json(const PortStatusView& port);
nlohmann::ordered_json to_json(const DropsView& drops);
nlohmann::ordered_json to_json(const WorkerView& worker);
nlohmann::ordered_json to_json(const ReloadReport& report);
nlohmann::ordered_json to_json(const BabelView& babel);
nlohmann::ordered_json to_json(const std::optional<NetworkView>& network);
nlohmann::ordered_json to_json(const LinkView& link);
nlohmann::ordered_json to_json(const MeshPathView& path);
nlohmann::ordered_json to_json(const MemberView& member);
nlohmann::ordered_json to_json(const RelayView& relay);
nlohmann::ordered_json to_json(const ExplainView& view);
nlohmann::ordered_json to_json(const NetworkPushReport& report);

// One line, never throws: bytes that are not UTF-8 become U+FFFD.
std::string dump(const nlohmann::ordered_json& json);

}  // namespace meshgate::control
