// SPDX-License-Identifier: Apache-2.0
#include "cli/show_mesh.h"

#include "cli/json_text.h"
#include "cli/table.h"

namespace meshgate::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string yes_or_dash(const Json& value) {
    return value.get<bool>() ? "yes" : "-";
}

std::string counted(uint64_t number, const std::string& noun) {
    return human_count(number) + " " + noun + (number == 1 ? "" : "s");
}

// This box is a member too, but not one that could be up or down.
std::string others_up(uint64_t nb_up, uint64_t nb_others) {
    return human_count(nb_up) + " of " + counted(nb_others, "other member") + " up";
}

}  // namespace

std::string links_text(const Json& result) {
    Table table{{"PEER", "PORT", "REMOTE", "STATE", "USED", "RTT", "JITTER", "LOSS", "COST",
                 "HEARD", "PROBES", "ORIGIN"}};
    for (const Json& link : result.at("links")) {
        const bool metered = link.at("metered").get<bool>();
        table.add(
            {text_of(link.at("peer")), text_of(link.at("port")) + (metered ? " (metered)" : ""),
             text_of(link.at("remote")), text_of(link.at("state")), yes_or_dash(link.at("in_use")),
             milliseconds(link.at("rtt_p50_ms")), milliseconds(link.at("jitter_ms")),
             decimal(100 * link.at("loss_ratio").get<double>(), "%.1f%%"),
             number_or_dash(link.at("cost")), age(link.at("age_s")),
             std::to_string(number_of(link.at("probe_interval_ms"))) + " ms",
             text_of(link.at("origin"))});
    }
    return table.empty() ? "no links\n" : table.text();
}

std::string paths_text(const Json& result) {
    Table table{{"PEER", "PATH", "PORT", "REMOTE", "METRIC", "SINCE", "MTU", "SESSION"}};
    for (const Json& path : result.at("paths")) {
        const bool relayed = !path.at("relay").is_null();
        const uint64_t mtu = number_of(path.at("mtu_bytes"));
        table.add({text_of(path.at("peer")),
                   text_of(path.at("kind")) + (relayed ? " " + text_of(path.at("relay")) : ""),
                   text_of(path.at("port")), text_of(path.at("remote")),
                   number_or_dash(path.at("metric")), age(path.at("since_s")),
                   mtu == 0 ? "-" : mtu_text(path), text_of(path.at("session"))});
    }
    return table.empty() ? "no paths\n" : table.text();
}

std::string members_text(const Json& result) {
    Table table{
        {"NAME", "STATE", "NODE ADDRESS", "RELAY", "VERSION", "PREFIXES", "ENDPOINTS", "TAGS"}};
    uint64_t nb_up = 0;
    uint64_t nb_others = 0;
    for (const Json& member : result.at("members")) {
        nb_others += member.at("self").get<bool>() ? 0 : 1;
        nb_up += text_of(member.at("state")) == "up" ? 1 : 0;
        table.add({text_of(member.at("name")), text_of(member.at("state")),
                   text_of(member.at("node_address")), yes_or_dash(member.at("relay")),
                   number_or_dash(member.at("network_version")), joined(member.at("prefixes")),
                   joined(member.at("endpoints")), joined(member.at("tags"))});
    }
    if (table.empty())
        return "no members\n";
    return table.text() + (nb_others > 1 ? "\n" + others_up(nb_up, nb_others) + "\n" : "");
}

std::string relays_text(const Json& result) {
    Table table{{"ROLE", "FROM", "TO", "INDEX", "VIA", "STATE", "EXPIRES"}};
    for (const Json& relay : result.at("relays")) {
        std::array<char, 16> index{};
        std::snprintf(index.data(), index.size(), "0x%08x",
                      static_cast<unsigned>(number_of(relay.at("index"))));
        const std::string via = relay.at("via").get<std::string>();
        table.add({text_of(relay.at("role")), text_of(relay.at("from")), text_of(relay.at("to")),
                   index.data(), via.empty() ? "-" : via, text_of(relay.at("state")),
                   text_of(relay.at("role")) == "using" ? "-" : age(relay.at("expires_s"))});
    }
    return table.empty() ? "no relay entries\n" : table.text();
}

std::string push_text(const Json& result) {
    std::string out;
    for (const Json& error : result.at("errors"))
        out += printable_lines(error.get<std::string>());
    if (!result.at("accepted").get<bool>())
        return out + "refused: nothing was changed\n";
    return out + "accepted: version " + number_or_dash(result.at("version")) + " is in force\n";
}

std::string network_line(const Json& status) {
    // A daemon of an earlier version knows no networks.
    if (!status.contains("network") || status.at("network").is_null())
        return "";
    const Json& network = status.at("network");
    const bool alarmed = network.contains("alarms") && number_of(network.at("alarms")) > 0;
    const std::string alarms =
        alarmed ? ", " + counted(number_of(network.at("alarms")), "alarm") : "";
    return "NETWORK  " + text_of(network.at("name")) + ", version " +
           std::to_string(number_of(network.at("version"))) + ", " +
           others_up(number_of(network.at("others_up")), number_of(network.at("others"))) + ", " +
           counted(number_of(network.at("clients")), "client") + alarms + "\n";
}

}  // namespace meshgate::cli
