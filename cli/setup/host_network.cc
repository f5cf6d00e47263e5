// SPDX-License-Identifier: Apache-2.0
#include "cli/setup/host_network.h"

#include <net/if.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/text.h"
#include "cli/setup/box_file.h"

namespace meshgate::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kInterfaces = "/etc/network/interfaces";
constexpr const char* kTwinsOfIfupdown = "/etc/network/interfaces.d/meshgate";
constexpr const char* kNetworkdFolder = "/etc/systemd/network";
constexpr const char* kNetworkdState = "/run/systemd/netif/state";
constexpr const char* kNetworkdLeases = "/run/systemd/netif/leases";
constexpr const char* kDhclientLeases = "/var/lib/dhcp/dhclient.";
// Until a DHCP client on the twin has asked: as long as short leases.
constexpr const char* kBridgingSeconds = "3600";
constexpr const char* kMark = "# meshgate setup: ";
// As of systemd-networkd, which so replaces them.
constexpr const char* kRouteMetric = "1024";

bool is_v6(const std::string& address) {
    return address.find(':') != address.npos;
}

Result<void> add_addresses(const Card& card, const std::string& interface, bool bridging) {
    for (const std::string& address : card.addresses) {
        std::vector<std::string> words{"ip", "address", "replace", address, "dev", interface};
        if (is_v6(address))
            words.emplace_back("nodad");
        if (bridging && std::ranges::count(card.given, address) != 0)
            words.insert(words.end(),
                         {"valid_lft", kBridgingSeconds, "preferred_lft", kBridgingSeconds});
        if (const auto done = run_program(words); !done)
            return propagate(done);
    }
    return {};
}

Result<void> add_default_routes(const Card& card, const std::string& interface) {
    for (const std::string& gateway : {card.gateway_v4, card.gateway_v6}) {
        if (gateway.empty())
            continue;
        const auto done =
            run_program({"ip", is_v6(gateway) ? "-6" : "-4", "route", "replace", "default", "via",
                         gateway, "dev", interface, "metric", kRouteMetric});
        if (!done)
            return propagate(done);
    }
    return {};
}

// Those that ifupdown started; killed, as they would give the lease back if they were asked to end.
void end_dhcp_clients(const std::string& card) {
    for (const std::string program : {"dhclient", "dhclient6", "udhcpc"}) {
        pid_t process = 0;
        std::ifstream{"/run/" + program + "." + card + ".pid"} >> process;
        const std::string comm = text_of("/proc/" + std::to_string(process) + "/comm");
        if (process > 1 && (comm == "dhclient\n" || comm == "udhcpc\n"))
            ::kill(process, SIGKILL);
    }
}

Result<void> carry(const Move& move) {
    if (move.follows) {
        if (const auto done = add_addresses(move.card, move.twin, true); !done)
            return propagate(done);
    }
    if (move.stays_card) {
        end_dhcp_clients(move.card.name);
        // IPv6 is off there since the daemon runs.
        const auto done = run_program({"ip", "-4", "address", "flush", "dev", move.card.name});
        if (!done)
            return propagate(done);
    }
    return move.follows ? add_default_routes(move.card, move.twin) : Result<void>{};
}

std::vector<fs::path> ifupdown_files() {
    std::vector<fs::path> files{kInterfaces};
    std::error_code error;
    for (const auto& entry : fs::directory_iterator{std::string{kInterfaces} + ".d", error})
        files.push_back(entry.path());
    std::erase(files, fs::path{kTwinsOfIfupdown});
    std::ranges::sort(files);
    return files;
}

std::vector<std::string> cards_of(const std::vector<Move>& moves) {
    std::vector<std::string> cards;
    for (const Move& move : moves) {
        if (move.stays_card)
            cards.push_back(move.card.name);
    }
    return cards;
}

// What dhclient knows of its lease, so that it asks as the same one for the same address.
Result<void> hand_over_lease(const Move& move) {
    std::string text = text_of(kDhclientLeases + move.card.name + ".leases");
    const std::string before = "interface \"" + move.card.name + "\"",
                      after = "interface \"" + move.twin + "\"";
    for (size_t at = 0; (at = text.find(before, at)) != std::string::npos; at += after.size())
        text.replace(at, before.size(), after);
    const std::string path = kDhclientLeases + move.twin + ".leases";
    return text.empty() ? Result<void>{} : file_step(path, path, text).run();
}

// Cards become comments, and followed twins have their stanzas; those of whom it said nothing remain.
std::vector<Move> leave_ifupdown(std::vector<Step>& steps, const std::vector<Move>& moves) {
    const std::vector<std::string> cards = cards_of(moves);
    std::map<std::string, std::vector<std::string>> stanzas;
    for (const fs::path& path : ifupdown_files()) {
        const std::string before = text_of(path);
        Interfaces after = without_cards(before, cards);
        if (before != after.text)
            steps.push_back(file_step("leave " + joined(cards, " ") + " out of " + path.string(),
                                      path, after.text));
        for (auto& [card, lines] : after.stanzas)
            stanzas[card].insert(stanzas[card].end(), lines.begin(), lines.end());
    }
    std::vector<Move> left;
    std::string text = "# Written by meshgate setup.\n";
    std::vector<Step> raise;
    for (const Move& move : moves) {
        // Of an earlier call.
        const bool there =
            text_of(kTwinsOfIfupdown).find("iface " + move.twin + " ") != std::string::npos;
        if (!move.follows || there)
            continue;
        if (!stanzas.contains(move.card.name)) {
            left.push_back(move);
            continue;
        }
        text += "allow-hotplug " + move.twin + "\n";
        for (std::string line : stanzas[move.card.name]) {
            if (const size_t at = line.find("iface " + move.card.name); at != std::string::npos)
                line.replace(at + 6, move.card.name.size(), move.twin);
            text += line + "\n";
        }
        raise.push_back({"ifup " + move.twin, [move]() -> Result<void> {
                             if (const auto done = hand_over_lease(move); !done)
                                 return propagate(done);
                             return run_program({"ifup", move.twin});
                         }});
    }
    if (!raise.empty()) {
        add_file(steps, kTwinsOfIfupdown, text);
        if (text_of(kInterfaces).find("interfaces.d/") == std::string::npos)
            steps.push_back({std::string{"have "} + kInterfaces + " read interfaces.d", [] {
                                 return file_step("", kInterfaces,
                                                  text_of(kInterfaces) +
                                                      "source /etc/network/interfaces.d/*\n")
                                     .run();
                             }});
    }
    for (Step& step : raise)
        steps.push_back(std::move(step));
    return left;
}

// How networkd identified itself on the card; as the card's address does where it did not.
std::string identity_on(const std::string& card) {
    const std::string lease =
        text_of(kNetworkdLeases + ("/" + std::to_string(if_nametoindex(card.c_str()))));
    constexpr std::string_view kKey = "CLIENTID=ff";
    const size_t at = lease.find(kKey);
    if (at == std::string::npos)
        return "ClientIdentifier=mac\n";
    const std::string digits = lease.substr(at + kKey.size(), 8);
    return "IAID=" + std::to_string(std::strtoul(digits.c_str(), nullptr, 16)) + "\n";
}

void leave_networkd(std::vector<Step>& steps, const std::vector<Move>& moves,
                    const std::vector<Move>& followed) {
    if (!fs::exists(kNetworkdFolder) || (followed.empty() && !fs::exists(kNetworkdState)))
        return;
    const size_t nb_steps = steps.size();
    const fs::path folder = kNetworkdFolder;
    const std::string head = "# Written by meshgate setup.\n[Match]\nName=";
    if (const auto cards = cards_of(moves); !cards.empty())
        add_file(steps, folder / "05-meshgate-cards.network",
                 head + joined(cards, " ") + "\n\n[Link]\nUnmanaged=yes\n");
    for (const Move& move : followed)
        add_file(steps, folder / ("05-meshgate-" + move.twin + ".network"),
                 head + move.twin + "\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\n" +
                     identity_on(move.card.name));
    if (steps.size() == nb_steps)
        return;
    // A restart keeps the leases that it holds.
    steps.push_back(
        {"restart systemd-networkd", [on = !followed.empty()]() -> Result<void> {
             if (on) {
                 const auto done = run_program({"systemctl", "enable", "systemd-networkd.service"});
                 if (!done)
                     return propagate(done);
             }
             return run_program({"systemctl", "restart", "systemd-networkd.service"});
         }});
}

}  // namespace

std::vector<Move> moves_of(const config::Model& model, const std::vector<Card>& cards) {
    std::vector<Move> moves;
    for (const config::Port& port : model.ports) {
        const Card* card = card_of(port, cards);
        if (config::has_twin(port) && card != nullptr)
            moves.push_back({.card = *card,
                             .twin = config::twin_of(port),
                             .follows = port.addresses_from_host,
                             .stays_card = port.device.kind != config::DeviceKind::pci});
    }
    return moves;
}

std::vector<Step> move_steps(const std::vector<Move>& moves) {
    std::vector<Step> steps;
    for (const Move& move : moves) {
        if (move.card.addresses.empty())
            continue;
        std::string what = "move " + joined(move.card.addresses, " ");
        if (!move.card.gateway_v4.empty() || !move.card.gateway_v6.empty())
            what += " and the default route";
        steps.push_back({what + " from " + move.card.name + " to " + move.twin,
                         [move] { return carry(move); }});
    }
    return steps;
}

Result<void> undo(const std::vector<Move>& moves) {
    auto done = run_program({"systemctl", "disable", "--now", "meshgated.service"});
    for (const Move& move : moves) {
        if (!move.stays_card || move.card.addresses.empty())
            continue;
        (void)run_program({"ip", "link", "delete", move.twin});
        auto back = add_addresses(move.card, move.card.name, false);
        if (back)
            back = add_default_routes(move.card, move.card.name);
        if (done)
            done = back;
    }
    return done;
}

std::vector<Step> keep_steps(const std::vector<Move>& moves) {
    std::vector<Step> steps;
    const std::vector<Move> left = leave_ifupdown(steps, moves);
    leave_networkd(steps, moves, left);
    return steps;
}

Interfaces without_cards(std::string_view interfaces, const std::vector<std::string>& cards) {
    std::istringstream lines{std::string{interfaces}};
    Interfaces found;
    std::string within;  // the card whose stanza this is
    for (std::string line; std::getline(lines, line);) {
        std::istringstream in{line};
        std::vector<std::string> words{std::istream_iterator<std::string>{in}, {}};
        const auto is_card = [&](const std::string& word) {
            return std::ranges::count(cards, word) != 0;
        };
        const std::string first = words.empty() ? "" : words.front();
        const bool raises = first == "auto" || first.starts_with("allow-");
        if (raises || first == "iface" || first == "mapping" || first.starts_with("source") ||
            first == "no-auto-down" || first == "no-scripts")
            within = first == "iface" && words.size() > 1 && is_card(words[1]) ? words[1] : "";
        const bool of_card = !within.empty() && !first.empty() && first.front() != '#';
        const bool raises_card = raises && std::any_of(words.begin() + 1, words.end(), is_card);
        found.text += (of_card || raises_card ? kMark : "") + line + "\n";
        if (of_card)
            found.stanzas[within].push_back(line);
        std::erase_if(words, is_card);
        if (raises_card && words.size() > 1)
            found.text += joined(words, " ") + "\n";
    }
    return found;
}

bool held_by_network_manager(const std::string& card) {
    const unsigned index = if_nametoindex(card.c_str());
    return text_of("/run/NetworkManager/devices/" + std::to_string(index)).find("managed=true\n") !=
           std::string::npos;
}

}  // namespace meshgate::cli
