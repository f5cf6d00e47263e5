// SPDX-License-Identifier: Apache-2.0
#include "control/api/json.h"

#include <nlohmann/json.hpp>

namespace meshgate::control {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json texts_of(const std::vector<T>& values) {
    Json array = Json::array();
    for (const T& value : values)
        array.push_back(to_string(value));
    return array;
}

Json text_or_null(const IpAddress& address) {
    return address.family == Family::none ? Json(nullptr) : Json(to_string(address));
}

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

Json to_json(const std::vector<ResultCount>& counts) {
    Json object = Json::object();
    for (const ResultCount& each : counts)
        object[each.result] = each.count;
    return object;
}

// "direct wan0", "relay munich", "none"
std::string path_of(const PeerView& peer) {
    const std::string kind = to_string(peer.path);
    return peer.via.empty() ? kind : kind + " " + peer.via;
}

Json to_json(const DropView& drop) {
    return {
        {"reason", drop.reason}, {"stage", drop.stage}, {"total", drop.total}, {"help", drop.help}};
}

Json to_json(const ConservationView& sums) {
    return {{"rx", sums.rx},
            {"injected", sums.injected},
            {"from_host", sums.from_host},
            {"originated", sums.originated},
            {"tx", sums.tx},
            {"to_host", sums.to_host},
            {"drops", sums.drops},
            {"punts", sums.punts}};
}

}  // namespace

Json to_json(const StatusView& status) {
    return {
        {"name", status.name},
        {"version", status.version},
        {"uptime_s", status.uptime_s},
        {"healthy", status.problems.empty()},
        {"ready", status.readiness == Readiness::ready},
        {"readiness", to_string(status.readiness)},
        {"problems", status.problems},
        {"config",
         {{"file", status.config_file},
          {"applied_unix_s", status.config_applied_unix_s},
          {"last_reload_unix_s", status.last_reload_unix_s},
          {"last_reload_ok", status.last_reload_ok}}},
        {"http", status.http.empty() ? Json{} : Json(status.http)},
        {"wireguard",
         {{"public_key", to_string(status.public_key)},
          {"listen_port", status.listen_port},
          {"peers_up", status.peers_up},
          {"peers_total", status.peers_total},
          {"clients_up", status.clients_up},
          {"keys_used_twice", status.keys_used_twice},
          {"sessions", status.sessions},
          {"handshakes", to_json(status.handshakes)}}},
        {"routes", status.routes},
        {"disabled",
         {{"ports", status.ports_disabled},
          {"peers", status.peers_disabled},
          {"routes", status.routes_disabled}}},
        {"vm_forks", status.vm_forks},
        {"vm_fork_notice", to_string(status.vm_fork_notice)},
        {"dataplane",
         {{"aead_engine", status.aead_engine},
          {"aead_reason", status.aead_reason},
          {"memory", status.memory},
          {"workers", status.workers},
          {"mbufs_in_use", status.mbufs_in_use},
          {"mbufs_total", status.mbufs_total}}},
    };
}

Json to_json(const PeerView& peer) {
    return {
        {"name", peer.name},
        {"enabled", peer.enabled},
        {"public_key", to_string(peer.public_key)},
        {"has_preshared_key", peer.has_preshared_key},
        {"endpoint", peer.endpoint ? Json(to_string(*peer.endpoint)) : Json(nullptr)},
        {"endpoint_name", text_or_null(peer.endpoint_name)},
        {"path", path_of(peer)},
        {"session", to_string(peer.session)},
        {"latest_handshake_unix_s", peer.latest_handshake_unix_s},
        {"allowed_ips", texts_of(peer.allowed_ips)},
        {"rx_packets", peer.rx_packets},
        {"rx_bytes", peer.rx_bytes},
        {"tx_packets", peer.tx_packets},
        {"tx_bytes", peer.tx_bytes},
        {"persistent_keepalive_s", peer.persistent_keepalive_s},
        {"mtu_bytes", peer.mtu_bytes},
        {"mtu_origin", to_string(peer.mtu_origin)},
        {"handshakes",
         {{"initiations_sent", peer.handshakes.initiations_sent},
          {"initiations_received", peer.handshakes.initiations_received},
          {"completed", peer.handshakes.completed},
          {"given_up", peer.handshakes.given_up}}},
    };
}

Json to_json(const RouteView& route) {
    return {{"prefix", to_string(route.prefix)}, {"enabled", route.enabled},
            {"kind", to_string(route.kind)},     {"peer", text_or_null(route.peer)},
            {"port", text_or_null(route.port)},  {"next_hop", text_or_null(route.next_hop)},
            {"origin", to_string(route.origin)}};
}

Json to_json(const PortStatusView& port) {
    return {
        {"name", port.name},
        {"enabled", port.enabled},
        {"device", port.device},
        {"driver", port.driver},
        {"role", to_string(port.role)},
        {"up", port.up},
        {"link_changes", port.link_changes},
        {"mac", to_string(port.mac)},
        {"vlan", port.vlan == 0 ? Json(nullptr) : Json(port.vlan)},
        {"priority", port.priority},
        {"mtu_bytes", port.mtu_bytes},
        {"addresses", texts_of(port.addresses)},
        {"gateway", text_or_null(port.gateway)},
        {"rx_queues", port.rx_queues},
        {"tx_queues", port.tx_queues},
        {"offloads", port.offloads},
        {"rx_packets", port.rx_packets},
        {"rx_bytes", port.rx_bytes},
        {"tx_packets", port.tx_packets},
        {"tx_bytes", port.tx_bytes},
        {"rx_missed", port.rx_missed},
        {"rx_errors", port.rx_errors},
        {"rx_nombuf", port.rx_nombuf},
        {"tx_errors", port.tx_errors},
        {"rebinds", port.rebinds},
        {"offload_repairs", port.offload_repairs},
        {"problem", text_or_null(port.problem)},
        {"kernel_shut_out", port.kernel_shut_out},
        {"kernel_repairs", port.kernel_repairs},
        {"kernel_addresses", port.kernel_addresses},
        {"twin", text_or_null(port.twin)},
        {"to_host_packets", port.to_host_packets},
        {"from_host_packets", port.from_host_packets},
    };
}

Json to_json(const DropsView& drops) {
    Json reasons = Json::array();
    for (const DropView& drop : drops.drops)
        reasons.push_back(to_json(drop));
    return {{"drops", std::move(reasons)},
            {"punts", to_json(drops.punts)},
            {"conservation", to_json(drops.conservation)}};
}

Json to_json(const WorkerView& worker) {
    Json stages = Json::array();
    for (const StageView& stage : worker.stages)
        stages.push_back({{"stage", stage.stage},
                          {"batches", stage.batches},
                          {"packets", stage.packets},
                          {"cycles", stage.cycles}});
    return {
        {"id", worker.id},
        {"core", worker.core < 0 ? Json(nullptr) : Json(worker.core)},
        {"asleep", worker.asleep},
        {"busy_ratio", worker.busy_ratio},
        {"busy_cycles", worker.busy_cycles},
        {"idle_cycles", worker.idle_cycles},
        {"turns", worker.turns},
        {"sleeps", worker.sleeps},
        {"rx_packets", worker.rx_packets},
        {"tx_packets", worker.tx_packets},
        {"handover_out_packets", worker.handover_out_packets},
        {"handover_in_packets", worker.handover_in_packets},
        {"stages", std::move(stages)},
    };
}

Json to_json(const ReloadReport& report) {
    return {{"outcome", to_string(report.outcome)},
            {"changes", report.changes},
            {"needs_restart", report.needs_restart},
            {"errors", report.errors}};
}

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace meshgate::control
