// SPDX-License-Identifier: Apache-2.0
#include "cli/setup/answers.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "cli/setup/yaml_text.h"
#include "config/text/report.h"
#include "config/text/tree.h"

namespace meshgate::cli {
namespace {

using config::NodeKind;
using config::Report;
using config::YamlNode;

constexpr config::FileKind kAnswersFile{"a file of answers", size_t{64} << 10, 10'000,
                                        "write further peers into the box file"};

constexpr std::array<std::string_view, 7> kKeys{"name", "device",  "host", "wan",
                                                "lan",  "network", "peers"};
constexpr std::array<std::string_view, 3> kWanKeys{"card", "addresses", "gateway"};
constexpr std::array<std::string_view, 2> kLanKeys{"card", "addresses"};
constexpr std::array<std::string_view, 2> kNetworkKeys{"file", "authority"};

std::string path_of(const std::string& group, std::string_view key) {
    return group.empty() ? std::string{key} : group + "." + std::string{key};
}

// Complains of keys that nobody reads.
void check_keys(Report& report, const YamlNode& map, const std::string& group,
                std::span<const std::string_view> known) {
    for (size_t i = 0; i + 1 < map.children.size(); i += 2) {
        const YamlNode& key = map.children[i];
        if (std::ranges::find(known, key.text) != known.end())
            continue;
        auto& error = report.error("unknown-key", key.place, path_of(group, key.text),
                                   "there is no question of that name");
        error.allowed.assign(known.begin(), known.end());
        error.suggestion = closest_word(key.text, known);
    }
}

struct Reader {
    Report& report;
    const YamlNode& map;
    std::string group;

    // `present`: how to say that it must be there.
    std::string scalar(std::string_view key, bool required) const {
        const YamlNode* node = map.find(key);
        if (node != nullptr && node->kind == NodeKind::scalar)
            return node->text;
        if (node != nullptr)
            report.error("wrong-type", node->place, path_of(group, key), "one value belongs here");
        else if (required)
            report.error("missing-key", map.place, path_of(group, key), "this must be answered");
        return {};
    }

    std::vector<std::string> list(std::string_view key, bool required) const {
        const YamlNode* node = map.find(key);
        if (node == nullptr || node->kind == NodeKind::scalar) {
            const std::string one = scalar(key, required);
            return one.empty() ? std::vector<std::string>{} : std::vector{one};
        }
        std::vector<std::string> values;
        for (const YamlNode& child : node->children) {
            if (node->kind != NodeKind::list || child.kind != NodeKind::scalar)
                report.error("wrong-type", child.place, path_of(group, key),
                             "a list of values belongs here");
            values.push_back(child.text);
        }
        return values;
    }

    // A group of keys; null when it is not there.
    const YamlNode* map_of(std::string_view key, std::span<const std::string_view> known,
                           bool required) const {
        const YamlNode* node = map.find(key);
        if (node == nullptr) {
            if (required)
                report.error("missing-key", map.place, path_of(group, key),
                             "this must be answered");
            return nullptr;
        }
        if (node->kind != NodeKind::map) {
            report.error("wrong-type", node->place, path_of(group, key),
                         "a group of keys belongs here");
            return nullptr;
        }
        check_keys(report, *node, std::string{key}, known);
        return node;
    }
};

void read_groups(Report& report, const Reader& top, Answers& answers) {
    if (const YamlNode* wan = top.map_of("wan", kWanKeys, true)) {
        const Reader reader{report, *wan, "wan"};
        answers.wan_card = reader.scalar("card", true);
        answers.wan_addresses = reader.list("addresses", true);
        answers.gateways = reader.list("gateway", false);
    }
    if (const YamlNode* lan = top.map_of("lan", kLanKeys, false)) {
        const Reader reader{report, *lan, "lan"};
        answers.lan_card = reader.scalar("card", true);
        answers.lan_addresses = reader.list("addresses", answers.lan_card != answers.wan_card);
    }
    if (const YamlNode* network = top.map_of("network", kNetworkKeys, false)) {
        const Reader reader{report, *network, "network"};
        answers.network_file = reader.scalar("file", true);
        answers.authority = reader.scalar("authority", true);
    }
}

void read_all(Report& report, const YamlNode& root, Answers& answers) {
    if (root.kind != NodeKind::map) {
        report.error("wrong-type", root.place, "", "answers are keys with values: `name: berlin`");
        return;
    }
    check_keys(report, root, "", kKeys);
    const Reader top{report, root, ""};
    answers.name = top.scalar("name", true);
    if (const std::string device = top.scalar("device", false); !device.empty())
        answers.device = device;
    constexpr std::array<std::string_view, 3> kDevices{"af_packet", "af_xdp", "pci"};
    if (std::ranges::find(kDevices, answers.device) == kDevices.end()) {
        auto& error = report.error("bad-device", root.find("device")->place, "device",
                                   config::quoted(answers.device) + " is no way to drive a card");
        error.allowed.assign(kDevices.begin(), kDevices.end());
    }
    const std::string host = top.scalar("host", false);
    answers.host = host != "false";
    if (!host.empty() && host != "false" && host != "true")
        report.error("wrong-type", root.find("host")->place, "host", "true or false belongs here");
    read_groups(report, top, answers);
    const YamlNode* peers = root.find("peers");
    if (peers != nullptr && peers->kind == NodeKind::list)
        answers.peers = yaml_text(*peers, 2);
    else if (peers != nullptr && peers->kind != NodeKind::null)
        report.error("wrong-type", peers->place, "peers", "a list of peers belongs here");
}

}  // namespace

bool follows_host(const Answers& answers) {
    return answers.wan_addresses == std::vector<std::string>{"host"};
}

std::optional<Answers> read_answers(std::string_view text, const std::string& file_name,
                                    std::vector<config::Diagnostic>& diagnostics) {
    Report report{text, file_name, kAnswersFile};
    Answers answers;
    if (const std::optional<YamlNode> root = config::parse_tree(report))
        read_all(report, *root, answers);
    const bool usable = !report.has_errors();
    diagnostics = report.take();
    return usable ? std::optional{answers} : std::nullopt;
}

}  // namespace meshgate::cli
