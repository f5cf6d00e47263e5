// SPDX-License-Identifier: Apache-2.0
// What the mesh looks like as JSON.
#include <cmath>
#include <nlohmann/json.hpp>

#include "control/api/json.h"

namespace meshgate::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint16_t kInfinite = 65535;

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

Json endpoint_or_null(const Endpoint& endpoint) {
    return endpoint.address.family == Family::none ? Json(nullptr) : Json(to_string(endpoint));
}

Json cost_or_null(uint16_t cost) {
    return cost == kInfinite ? Json(nullptr) : Json(cost);
}

// To a thousandth: what was measured is no more exact.
Json rounded(double value) {
    return std::round(value * 1000) / 1000;
}

Json rounded_or_null(const std::optional<double>& value) {
    return value ? rounded(*value) : Json(nullptr);
}

Json texts_of(const std::vector<Prefix>& prefixes) {
    Json array = Json::array();
    for (const Prefix& prefix : prefixes)
        array.push_back(to_string(prefix));
    return array;
}

Json to_json(const ExplainView::Relay& relay) {
    return {{"name", relay.name},
            {"metric", cost_or_null(relay.metric)},
            {"to_all", relay.to_all},
            {"avoided", relay.avoided}};
}

}  // namespace

Json to_json(const std::optional<NetworkView>& network) {
    if (!network)
        return nullptr;
    return {{"name", network->name},           {"version", network->version},
            {"authority", network->authority}, {"members", network->members},
            {"clients", network->clients},     {"others", network->others},
            {"others_up", network->others_up}, {"alarms", network->alarms}};
}

Json to_json(const LinkView& link) {
    return {
        {"peer", link.peer},
        {"port", link.port},
        {"remote", endpoint_or_null(link.remote)},
        {"state", to_string(link.state)},
        {"in_use", link.in_use},
        {"metered", link.metered},
        {"rtt_p50_ms", rounded_or_null(link.rtt_p50_ms)},
        {"jitter_ms", rounded_or_null(link.jitter_ms)},
        {"loss_ratio", rounded(link.loss)},
        {"cost", cost_or_null(link.cost)},
        {"age_s", link.age_s < 0 ? Json(nullptr) : rounded(link.age_s)},
        {"probe_interval_ms", link.probe_interval_ms},
        {"origin", to_string(link.origin)},
    };
}

Json to_json(const MeshPathView& path) {
    return {
        {"peer", path.peer},
        {"kind", to_string(path.kind)},
        {"port", text_or_null(path.port)},
        {"relay", text_or_null(path.relay)},
        {"remote", endpoint_or_null(path.remote)},
        {"metric", cost_or_null(path.metric)},
        {"since_s", rounded(path.since_s)},
        {"mtu_bytes", path.mtu_bytes},
        {"mtu_origin", to_string(path.mtu_origin)},
        {"session", to_string(path.session)},
    };
}

Json to_json(const MemberView& member) {
    return {
        {"name", member.name},
        {"public_key", to_string(member.public_key)},
        {"node_address", to_string(member.node_address)},
        {"self", member.self},
        {"relay", member.relay},
        {"prefixes", texts_of(member.prefixes)},
        {"endpoints", member.endpoints},
        {"tags", member.tags},
        {"state", to_string(member.state)},
        {"network_version",
         member.network_version == 0 ? Json(nullptr) : Json(member.network_version)},
    };
}

Json to_json(const RelayView& relay) {
    return {
        {"role", to_string(relay.role)},
        {"from", relay.from},
        {"to", relay.to},
        {"index", relay.index},
        {"via", relay.via},
        {"state", to_string(relay.state)},
        {"expires_s", rounded(relay.expires_s)},
    };
}

Json to_json(const ExplainView& view) {
    Json links = Json::array();
    for (const LinkView& link : view.links)
        links.push_back(to_json(link));
    Json relays = Json::array();
    for (const ExplainView::Relay& relay : view.relays)
        relays.push_back(to_json(relay));
    Json cures = Json::array();
    for (const ExplainView::Cure cure : view.cures)
        cures.push_back(to_string(cure));
    return {
        {"peer", view.peer},
        {"verdict", to_string(view.verdict)},
        {"path", to_json(view.path)},
        {"rtt_ms", rounded_or_null(view.rtt_ms)},
        {"links", std::move(links)},
        {"relays", std::move(relays)},
        {"cause", to_string(view.cause)},
        {"cures", std::move(cures)},
        {"endpoints", view.endpoints},
        {"listen_port", view.listen_port},
        {"next_try_s", rounded_or_null(view.next_try_s)},
    };
}

Json to_json(const NetworkPushReport& report) {
    return {{"accepted", report.accepted},
            {"version", report.version == 0 ? Json(nullptr) : Json(report.version)},
            {"errors", report.errors}};
}

}  // namespace meshgate::control
