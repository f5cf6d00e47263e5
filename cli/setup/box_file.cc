// SPDX-License-Identifier: Apache-2.0
#include "cli/setup/box_file.h"

#include <algorithm>
#include <array>

#include "cli/setup/yaml_text.h"

namespace meshgate::cli {
namespace {

constexpr const char* kHead =
    "# meshgate.yaml(5): this box. Written by `meshgate setup`, yours to edit:\n"
    "# meshgate check FILE says what is wrong with it, meshgate reload applies it.\n";

const Card& card_named(const std::vector<Card>& cards, const std::string& name) {
    return *std::ranges::find(cards, name, &Card::name);
}

std::string list_or_one(const std::vector<std::string>& values) {
    return values.size() == 1 ? yaml_scalar(values.front()) : yaml_list(values);
}

std::string port_head(const std::string& name, const Answers& answers, const Card& card) {
    std::string text =
        "  - name: " + name + "\n    device: " + yaml_scalar(device_of(answers, card));
    std::string note = answers.device == "pci" ? card.name : "";
    for (const std::string& part : {card.driver, card.pci_address})
        note += (part.empty() || note.empty() ? "" : ", ") + part;
    return text + (note.empty() ? "" : "  # " + note) + "\n";
}

const char* twin_line(const Answers& answers) {
    return answers.host
               ? "    host: true  # the machine keeps an interface of this name: ssh, DHCP, DNS\n"
               : "";
}

std::string wan_port(const Answers& answers, const Card& card) {
    const bool one_arm = answers.lan_card == answers.wan_card;
    std::string text = port_head(one_arm ? "office" : "wan", answers, card);
    text += one_arm ? "    role: [wan, lan]  # one arm: beside the router of the office\n"
                    : "    role: wan\n";
    if (follows_host(answers))
        text += "    addresses: host  # those that the machine gets on it, by DHCP or otherwise\n";
    else
        text += "    addresses: " + yaml_list(answers.wan_addresses) + "\n";
    if (!answers.gateways.empty())
        text += "    gateway: " + list_or_one(answers.gateways) + "\n";
    return text + twin_line(answers);
}

// Networks that nobody on the internet reaches: RFC 1918, 6598, 3927, 4193.
bool is_private(const IpAddress& address) {
    static const std::array<Prefix, 6> kPrivate{
        *parse_prefix("10.0.0.0/8"),     *parse_prefix("172.16.0.0/12"),
        *parse_prefix("192.168.0.0/16"), *parse_prefix("100.64.0.0/10"),
        *parse_prefix("169.254.0.0/16"), *parse_prefix("fc00::/7")};
    return std::ranges::any_of(kPrivate,
                               [&](const Prefix& prefix) { return prefix.contains(address); });
}

std::vector<Prefix> addresses_of(const config::Port& port, const std::vector<Card>& cards) {
    if (!port.addresses_from_host)
        return port.addresses;
    const Card* card = card_of(port, cards);
    std::vector<Prefix> addresses;
    for (const std::string& text : card != nullptr && !card->addresses.empty()
                                       ? card->addresses
                                       : addresses_on(config::twin_of(port))) {
        if (const auto address = parse_prefix(text))
            addresses.push_back(*address);
    }
    return addresses;
}

}  // namespace

std::string device_of(const Answers& answers, const Card& card) {
    return answers.device == "pci" ? "pci:" + card.pci_address : answers.device + ":" + card.name;
}

std::string box_file(const Answers& answers, const std::vector<Card>& cards) {
    std::string text = std::string{kHead} + "node:\n  name: " + yaml_scalar(answers.name) +
                       "\n  private_key_file: box.key  # made here; it never leaves this machine\n";
    text += "ports:\n" + wan_port(answers, card_named(cards, answers.wan_card));
    if (!answers.lan_card.empty() && answers.lan_card != answers.wan_card) {
        text += port_head("lan", answers, card_named(cards, answers.lan_card));
        text += "    role: lan\n    addresses: " + yaml_list(answers.lan_addresses) + "\n";
        text += twin_line(answers);
    }
    if (!answers.network_file.empty())
        text += "network:\n  file: " + yaml_scalar(answers.network_file) +
                "\n  authority: " + yaml_scalar(answers.authority) + "\n";
    // Last, so that what other boxes print can be appended as it is.
    return text + "peers:  # other boxes and devices; append what `meshgate setup` prints there\n" +
           answers.peers;
}

const Card* card_of(const config::Port& port, const std::vector<Card>& cards) {
    const auto found = std::ranges::find_if(cards, [&](const Card& card) {
        return port.device.kind == config::DeviceKind::pci
                   ? card.pci_address == port.device.argument
                   : card.name == port.device.argument;
    });
    return found == cards.end() ? nullptr : &*found;
}

std::string peer_entry(const config::Model& model, const std::vector<Card>& cards) {
    std::vector<std::string> prefixes;
    std::string endpoint;
    for (const config::Port& port : model.ports) {
        for (const Prefix& address : addresses_of(port, cards)) {
            if (config::is_lan(port.role))
                prefixes.push_back(to_string(address.network()));
            else if (endpoint.empty() && !port.addresses_from_host && !is_private(address.address))
                endpoint = to_string(Endpoint{address.address, model.wireguard.listen_port});
        }
    }
    return "  - name: " + yaml_scalar(model.node.name) + "\n    public_key: \"" +
           to_string(model.node.public_key) + "\"\n    allowed_ips: " + yaml_list(prefixes) + "\n" +
           (endpoint.empty() ? "" : "    endpoint: " + yaml_scalar(endpoint) + "\n");
}

}  // namespace meshgate::cli
