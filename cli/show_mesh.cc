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
                   mtu == 0 ? "-" : std::to_string(mtu), text_of(path.at("session"))});
    }
    return table.empty() ? "no paths\n" : table.text();
}

std::string members_text(const Json& result) {
    Table table{
        {"NAME", "STATE", "NODE ADDRESS", "RELAY", "VERSION", "PREFIXES", "ENDPOINTS", "TAGS"}};
    for (const Json& member : result.at("members"))
        table.add({text_of(member.at("name")), text_of(member.at("state")),
                   text_of(member.at("node_address")), yes_or_dash(member.at("relay")),
                   number_or_dash(member.at("network_version")), joined(member.at("prefixes")),
                   joined(member.at("endpoints")), joined(member.at("tags"))});
    return table.empty() ? "no members\n" : table.text();
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

std::string explain_text(const Json& result) {
    std::string out;
    for (const Json& line : result.at("lines"))
        out += text_of(line) + "\n";
    return out;
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
    const auto count = [&](const char* key, const std::string& noun) {
        const uint64_t number = number_of(network.at(key));
        return human_count(number) + " " + noun + (number == 1 ? "" : "s");
    };
    const bool alarmed = network.contains("alarms") && number_of(network.at("alarms")) > 0;
    const std::string alarms = alarmed ? ", " + count("alarms", "alarm") : "";
    return "NETWORK  " + text_of(network.at("name")) + ", version " +
           std::to_string(number_of(network.at("version"))) + ", " + count("members", "member") +
           ", " + count("clients", "client") + alarms + "\n";
}

}  // namespace meshgate::cli
