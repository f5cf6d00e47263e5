// SPDX-License-Identifier: Apache-2.0
#include "cli/setup/box_file.h"

#include <algorithm>

#include "cli/setup/yaml_text.h"

namespace meshgate::cli {
namespace {

constexpr const char* kHead =
    "# meshgate.yaml(5): this box. Written by `meshgate setup`, yours to edit:\n"
    "# meshgate check FILE says what is wrong with it, meshgate reload applies it.\n";

bool accepts(const std::string& port) {
    const std::string text =
        "node: {name: a, private_key_file: /nonexistent}\nports:\n"
        "  - {name: wan, device: \"af_packet:eth0\", " +
        port + "}\n";
    const config::LoadResult loaded = config::load_text(text, "", "/");
    return std::ranges::none_of(loaded.diagnostics, [](const config::Diagnostic& diagnostic) {
        return diagnostic.severity == config::Severity::error &&
               diagnostic.path.starts_with("ports");
    });
}

const Card& card_of(const std::vector<Card>& cards, const std::string& name) {
    return *std::ranges::find(cards, name, &Card::name);
}

std::string list_or_one(const std::vector<std::string>& values) {
    return values.size() == 1 ? yaml_scalar(values.front()) : yaml_list(values);
}

std::string port_head(const std::string& name, const Answers& answers, const Card& card) {
    return "  - name: " + name + "\n    device: " + yaml_scalar(device_of(answers, card)) + "  # " +
           describe({.name = card.name,
                     .driver = card.driver,
                     .pci_address = card.pci_address,
                     .link_up = card.link_up}) +
           "\n";
}

std::string wan_port(const Answers& answers, const Card& card, const Abilities& can) {
    const bool one_arm = answers.lan_card == answers.wan_card;
    const bool follows = answers.wan_addresses == std::vector<std::string>{"host"};
    std::string text = port_head("wan", answers, card);
    text += one_arm ? "    role: [wan, lan]  # one arm: beside the router of the office\n"
                    : "    role: wan\n";
    if (follows)
        text += "    addresses: host  # what this machine's kernel has on it: DHCP, SLAAC\n";
    else
        text += "    addresses: " + yaml_list(answers.wan_addresses) + "\n";
    if (!answers.gateways.empty())
        text += "    gateway: " + list_or_one(answers.gateways) + "\n";
    if (can.twin)
        text += "    host: true  # this machine keeps its own way to the network: ssh, DNS, time\n";
    return text;
}

}  // namespace

Abilities abilities() {
    const std::string fixed = "addresses: [192.0.2.1/24], ";
    return {.twin = accepts(fixed + "role: wan, host: true"),
            .follow_host = accepts("role: wan, addresses: host, host: true"),
            .one_arm = accepts(fixed + "role: [wan, lan]")};
}

std::string device_of(const Answers& answers, const Card& card) {
    return answers.device == "pci" ? "pci:" + card.pci_address : answers.device + ":" + card.name;
}

std::string box_file(const Answers& answers, const std::vector<Card>& cards, const Abilities& can) {
    std::string text = std::string{kHead} + "node:\n  name: " + yaml_scalar(answers.name) +
                       "\n  private_key_file: box.key  # made here; it never leaves this machine\n";
    text += "ports:\n" + wan_port(answers, card_of(cards, answers.wan_card), can);
    if (!answers.lan_card.empty() && answers.lan_card != answers.wan_card) {
        text += port_head("lan", answers, card_of(cards, answers.lan_card));
        text += "    role: lan\n    addresses: " + yaml_list(answers.lan_addresses) + "\n";
        if (can.twin)
            text += "    host: true\n";
    }
    if (!answers.network_file.empty())
        text += "network:\n  file: " + yaml_scalar(answers.network_file) +
                "\n  authority: " + yaml_scalar(answers.authority) + "\n";
    // Last, so that what other boxes print can be appended as it is.
    return text + "peers:  # other boxes and devices; append what `meshgate setup` prints there\n" +
           answers.peers;
}

std::string peer_entry(const Answers& answers, const std::string& public_key,
                       const config::Model& model) {
    std::string text =
        "  - name: " + yaml_scalar(answers.name) + "\n    public_key: \"" + public_key + "\"\n";
    std::vector<std::string> prefixes;
    for (const config::Port& port : model.ports) {
        for (const Prefix& address : port.addresses) {
            if (port.role == config::Role::lan)
                prefixes.push_back(to_string(address.network()));
        }
    }
    text += "    allowed_ips: " + yaml_list(prefixes) + "\n";
    for (const config::Port& port : model.ports) {
        if (port.role != config::Role::wan || port.addresses.empty())
            continue;
        const Endpoint endpoint{port.addresses.front().address, model.wireguard.listen_port};
        return text + "    endpoint: " + yaml_scalar(to_string(endpoint)) + "\n";
    }
    return text;
}

}  // namespace meshgate::cli
