// SPDX-License-Identifier: Apache-2.0
#include "cli/show.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/json_text.h"
#include "cli/show_mesh.h"
#include "cli/table.h"

namespace meshgate::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string ratio(uint64_t numerator, uint64_t denominator) {
    if (denominator == 0)
        return "-";
    return decimal(static_cast<double>(numerator) / static_cast<double>(denominator), "%.1f");
}

std::string percent(const Json& share) {
    return decimal(share.get<double>() * 100, "%.0f%%");
}

// Packets per burst, at the first stage that saw any.
std::string mean_batch(const Json& worker) {
    for (const Json& stage : worker.at("stages")) {
        const uint64_t batches = number_of(stage.at("batches"));
        if (batches > 0)
            return ratio(number_of(stage.at("packets")), batches);
    }
    return "-";
}

std::string plural(uint64_t n, const std::string& noun) {
    return human_count(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string health_line(const Json& status, Colour colour) {
    const Json& problems = status.at("problems");
    const auto painted = [&](const char* escape, const std::string& word) {
        return colour == Colour::on ? escape + word + "\x1b[0m" : word;
    };
    if (problems.empty())
        return painted("\x1b[32m", "OK") + "  nothing needs attention\n";
    std::string out = painted("\x1b[31m", "DEGRADED") + "  " + plural(problems.size(), "thing") +
                      (problems.size() == 1 ? " needs" : " need") + " attention\n";
    for (const Json& problem : problems)
        out += "  ! " + text_of(problem) + "\n";
    return out;
}

std::string heading(const Json& status, int64_t now_unix_s) {
    const int64_t applied = status.at("config").at("applied_unix_s").get<int64_t>();
    return text_of(status.at("name")) + " · meshgate " + text_of(status.at("version")) + " · up " +
           human_duration(status.at("uptime_s").get<int64_t>()) + " · config applied " +
           (applied == 0 ? "never" : human_age(applied, now_unix_s) + " ago") + "\n";
}

std::string cpu_line(const Json& dataplane, const Json& workers) {
    std::string busy;
    std::string batch;
    for (const Json& worker : workers.at("workers")) {
        busy += (busy.empty() ? "" : ", ") + percent(worker.at("busy_ratio"));
        batch += (batch.empty() ? "" : ", ") + mean_batch(worker);
    }
    return "CPU      " + plural(number_of(dataplane.at("workers")), "worker") + ", " + busy +
           " busy, batch " + batch + "\n" + "CRYPTO   " + text_of(dataplane.at("aead_engine")) +
           " (" + text_of(dataplane.at("aead_reason")) + ")\n";
}

// Of what came in from ports, control and the host.
std::string drop_share(const Json& conservation) {
    uint64_t in = 0;
    for (const char* source : {"rx", "injected", "from_host", "originated"})
        in += number_of(conservation.at(source));
    const auto drops = static_cast<double>(number_of(conservation.at("drops")));
    return in == 0 ? "0" : decimal(100 * drops / static_cast<double>(in), "%.3f%%");
}

// Empty: nothing is.
std::string disabled_line(const Json& disabled) {
    std::string text;
    for (const auto& [key, noun] :
         {std::pair{"ports", "port"}, std::pair{"peers", "peer"}, std::pair{"routes", "route"}}) {
        if (const uint64_t n = number_of(disabled.at(key)); n > 0)
            text += (text.empty() ? "" : ", ") + plural(n, noun);
    }
    return text.empty() ? "" : "DISABLED " + text + " of the box file\n";
}

const char* state_of(const Json& port) {
    if (!port.at("enabled").get<bool>())
        return "disabled";
    return port.at("up").get<bool>() ? "up" : "down";
}

}  // namespace

std::string status_text(const StatusAnswers& answers, int64_t now_unix_s, Colour colour) {
    const Json& wireguard = answers.status.at("wireguard");
    const Json& dataplane = answers.status.at("dataplane");
    std::string out = heading(answers.status, now_unix_s) + health_line(answers.status, colour);
    Table ports{{"PORT", "ROLE", "STATE", "ADDRESSES", "RX", "TX"}};
    for (const Json& port : answers.ports.at("ports"))
        ports.add({text_of(port.at("name")), text_of(port.at("role")), state_of(port),
                   joined(port.at("addresses")), human_bytes(number_of(port.at("rx_bytes"))),
                   human_bytes(number_of(port.at("tx_bytes")))});
    out += "\n" + ports.text() + "\n";
    const uint64_t nb_clients = number_of(wireguard.at("clients_up"));
    const std::string clients = nb_clients == 0 ? "" : plural(nb_clients, "client") + ", ";
    out += "PEERS    " + human_count(number_of(wireguard.at("peers_up"))) + " of " +
           human_count(number_of(wireguard.at("peers_total"))) + " up, " + clients +
           plural(number_of(wireguard.at("sessions")), "session") + ", " +
           plural(number_of(answers.status.at("routes")), "route") + "\n";
    out += disabled_line(answers.status.at("disabled"));
    out += "KEY      " + text_of(wireguard.at("public_key")) + ", UDP port " +
           std::to_string(number_of(wireguard.at("listen_port"))) + "\n";
    out += network_line(answers.status);
    out += cpu_line(dataplane, answers.workers);
    out += "MEMORY   " + text_of(dataplane.at("memory")) + ", " +
           human_count(number_of(dataplane.at("mbufs_in_use"))) + " of " +
           human_count(number_of(dataplane.at("mbufs_total"))) + " mbufs in use\n";
    out += "DROPS    " + drop_share(answers.drops.at("conservation")) +
           " of all packets (see: meshgate show drops)\n";
    return out;
}

std::string peers_text(const Json& result, int64_t now_unix_s) {
    Table table{
        {"NAME", "SESSION", "PATH", "ENDPOINT", "HANDSHAKE", "MTU", "RX", "TX", "ALLOWED IPS"}};
    for (const Json& peer : result.at("peers")) {
        const uint64_t mtu = number_of(peer.at("mtu_bytes"));
        table.add({text_of(peer.at("name")),
                   peer.at("enabled").get<bool>() ? text_of(peer.at("session")) : "disabled",
                   text_of(peer.at("path")), text_of(peer.at("endpoint")),
                   human_age(peer.at("latest_handshake_unix_s").get<int64_t>(), now_unix_s),
                   mtu == 0 ? "-" : mtu_text(peer), human_bytes(number_of(peer.at("rx_bytes"))),
                   human_bytes(number_of(peer.at("tx_bytes"))), joined(peer.at("allowed_ips"))});
    }
    return table.empty() ? "no peers\n" : table.text();
}

std::string peer_details_text(const Json& result, int64_t now_unix_s) {
    std::string out;
    for (const Json& peer : result.at("peers")) {
        const int64_t handshake = peer.at("latest_handshake_unix_s").get<int64_t>();
        const uint64_t keepalive = number_of(peer.at("persistent_keepalive_s"));
        const Json& counts = peer.at("handshakes");
        const auto traffic = [&](const char* packets, const char* bytes) {
            return human_bytes(number_of(peer.at(bytes))) + " in " +
                   plural(number_of(peer.at(packets)), "datagram");
        };
        out += text_of(peer.at("name")) + "\n";
        out += "  public key     " + text_of(peer.at("public_key")) + "\n";
        out += std::string{"  preshared key  "} +
               (peer.at("has_preshared_key").get<bool>() ? "yes" : "no") + "\n";
        out += "  session        " +
               (peer.at("enabled").get<bool>() ? text_of(peer.at("session")) : "disabled") + "\n";
        out += "  path           " + text_of(peer.at("path")) + "\n";
        const Json& name = peer.at("endpoint_name");
        out += "  endpoint       " + text_of(peer.at("endpoint")) +
               (name.is_null() ? "" : " (" + text_of(name) + ")") + "\n";
        out += "  allowed ips    " + joined(peer.at("allowed_ips")) + "\n";
        out += "  handshake      " +
               (handshake == 0 ? "never" : human_age(handshake, now_unix_s) + " ago") + "; " +
               human_count(number_of(counts.at("initiations_sent"))) + " initiated, " +
               human_count(number_of(counts.at("initiations_received"))) + " answered, " +
               human_count(number_of(counts.at("completed"))) + " completed, " +
               human_count(number_of(counts.at("given_up"))) + " given up\n";
        out += "  received       " + traffic("rx_packets", "rx_bytes") + "\n";
        out += "  sent           " + traffic("tx_packets", "tx_bytes") + "\n";
        out += "  keepalive      " +
               (keepalive == 0 ? std::string{"off"} : "every " + std::to_string(keepalive) + " s") +
               "\n";
        out += "  mtu            " + mtu_text(peer) + "\n";
    }
    return out;
}

std::string routes_text(const Json& result) {
    Table table{{"PREFIX", "KIND", "VIA", "PORT", "ORIGIN"}};
    for (const Json& route : result.at("routes")) {
        const Json& via = route.at("peer").is_null() ? route.at("next_hop") : route.at("peer");
        const std::string off = route.at("enabled").get<bool>() ? "" : " (disabled)";
        table.add({text_of(route.at("prefix")), text_of(route.at("kind")) + off, text_of(via),
                   text_of(route.at("port")), text_of(route.at("origin"))});
    }
    return table.empty() ? "no routes\n" : table.text();
}

std::string ports_text(const Json& result) {
    Table table{{"NAME", "ROLE", "STATE", "DEVICE", "VLAN", "MTU", "MAC", "ADDRESSES", "QUEUES",
                 "RX", "TX", "MISSED", "ERRORS"}};
    for (const Json& port : result.at("ports")) {
        const uint64_t errors = number_of(port.at("rx_errors")) + number_of(port.at("tx_errors"));
        const uint64_t missed = number_of(port.at("rx_missed")) + number_of(port.at("rx_nombuf"));
        const Json& vlan = port.at("vlan");
        table.add({text_of(port.at("name")), text_of(port.at("role")), state_of(port),
                   text_of(port.at("device")),
                   vlan.is_null() ? "-" : std::to_string(number_of(vlan)),
                   std::to_string(number_of(port.at("mtu_bytes"))), text_of(port.at("mac")),
                   joined(port.at("addresses")),
                   std::to_string(number_of(port.at("rx_queues"))) + "/" +
                       std::to_string(number_of(port.at("tx_queues"))),
                   human_bytes(number_of(port.at("rx_bytes"))),
                   human_bytes(number_of(port.at("tx_bytes"))), human_count(missed),
                   human_count(errors)});
    }
    return table.text();
}

std::string drops_text(const Json& result, Zeros zeros) {
    Table table{{"REASON", "STAGE", "TOTAL", "HELP"}};
    for (const Json& drop : result.at("drops")) {
        const uint64_t total = number_of(drop.at("total"));
        if (total > 0 || zeros == Zeros::show)
            table.add({text_of(drop.at("reason")), text_of(drop.at("stage")), human_count(total),
                       text_of(drop.at("help"))});
    }
    const Json& sums = result.at("conservation");
    const auto sum = [&](const char* key) { return human_count(number_of(sums.at(key))); };
    return (table.empty() ? "no drops\n" : table.text()) + "\nin   " + sum("rx") + " received, " +
           sum("injected") + " from control, " + sum("from_host") + " from the host, " +
           sum("originated") + " made here\nout  " + sum("tx") + " sent, " + sum("to_host") +
           " to the host, " + sum("drops") + " dropped, " + sum("punts") + " to control\n";
}

std::string workers_text(const Json& result) {
    Table table{{"WORKER", "CORE", "STATE", "BUSY", "RX", "TX", "HANDED OVER", "BATCH"}};
    Table stages{{"WORKER", "STAGE", "PACKETS", "BATCH", "CYCLES/PACKET"}};
    for (const Json& worker : result.at("workers")) {
        const std::string id = std::to_string(number_of(worker.at("id")));
        const Json& core = worker.at("core");
        table.add({id, core.is_null() ? "-" : std::to_string(number_of(core)),
                   worker.at("asleep").get<bool>() ? "asleep" : "awake",
                   percent(worker.at("busy_ratio")),
                   human_count(number_of(worker.at("rx_packets"))),
                   human_count(number_of(worker.at("tx_packets"))),
                   human_count(number_of(worker.at("handover_out_packets"))), mean_batch(worker)});
        for (const Json& stage : worker.at("stages")) {
            const uint64_t packets = number_of(stage.at("packets"));
            if (packets > 0)
                stages.add({id, text_of(stage.at("stage")), human_count(packets),
                            ratio(packets, number_of(stage.at("batches"))),
                            ratio(number_of(stage.at("cycles")), packets)});
        }
    }
    return table.text() + (stages.empty() ? "" : "\n" + stages.text());
}

std::string reload_text(const Json& result) {
    const std::string outcome = result.at("outcome").get<std::string>();
    std::string out;
    for (const Json& change : result.at("changes"))
        out += text_of(change) + "\n";
    for (const Json& change : result.at("needs_restart"))
        out += "needs a restart: " + text_of(change) + "\n";
    for (const Json& error : result.at("errors"))
        out += printable_lines(error.get<std::string>());
    if (outcome == "refused")
        return out + "refused: nothing was changed\n";
    if (outcome == "needs_restart")
        return out + "accepted; some of it takes effect with the next start\n";
    return out + (outcome == "unchanged" ? "nothing to change\n" : "applied\n");
}

}  // namespace meshgate::cli
