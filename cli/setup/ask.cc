// SPDX-License-Identifier: Apache-2.0
// The five questions. What is answered is checked as the box file is, once all is known.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "base/text.h"
#include "cli/setup/answers.h"
#include "cli/setup/yaml_text.h"
#include "config/text/report.h"
#include "config/text/tree.h"

namespace meshgate::cli {
namespace {

// The answer in its words, commas apart; empty at the end of the input.
std::optional<std::vector<std::string>> question(const std::string& text,
                                                 const std::string& likely) {
    std::printf("%s%s: ", text.c_str(), likely.empty() ? "" : (" [" + likely + "]").c_str());
    std::fflush(stdout);
    std::string line;
    if (!std::getline(std::cin, line))
        return {};
    if (line.find_first_not_of(" \t\r") == std::string::npos)
        line = likely;
    std::ranges::replace(line, ',', ' ');
    std::istringstream words{line};
    return std::vector<std::string>{std::istream_iterator<std::string>{words}, {}};
}

const Card* find(const std::vector<Card>& cards, const std::string& name) {
    const auto found = std::ranges::find(cards, name, &Card::name);
    return found == cards.end() ? nullptr : &*found;
}

bool is_card(const std::vector<Card>& cards, const std::string& name) {
    if (find(cards, name) != nullptr)
        return true;
    std::printf("There is no card %s here.\n", printable(name).c_str());
    return false;
}

std::string likely_wan(const std::vector<Card>& cards) {
    for (const Card& card : cards) {
        if (!card.gateway_v4.empty() || !card.gateway_v6.empty())
            return card.name;
    }
    return cards.empty() ? "" : cards.front().name;
}

std::string likely_address(const Card& card, bool can_follow_host) {
    if (can_follow_host)
        return "host";
    std::string text;
    for (const std::string& address : card.addresses)
        text += (text.empty() ? "" : " ") + address;
    std::string via;
    for (const std::string& gateway : {card.gateway_v4, card.gateway_v6})
        via += gateway.empty() ? "" : " " + gateway;
    return text.empty() || via.empty() ? text : text + " via" + via;
}

bool ask_wan(Answers& answers, const std::vector<Card>& cards, bool can_follow_host) {
    do {
        const auto words = question("2. Which card leads to the internet?", likely_wan(cards));
        if (!words)
            return false;
        answers.wan_card = words->empty() ? "" : words->front();
    } while (!is_card(cards, answers.wan_card));
    const auto words =
        question("3. Its addresses, `via` its gateway" +
                     std::string{can_follow_host ? "; `host`: what it gets by DHCP" : ""} + "?",
                 likely_address(*find(cards, answers.wan_card), can_follow_host));
    if (!words)
        return false;
    const auto via = std::ranges::find(*words, "via");
    answers.wan_addresses.assign(words->begin(), via);
    if (via != words->end())
        answers.gateways.assign(via + 1, words->end());
    return true;
}

bool ask_lan(Answers& answers, const std::vector<Card>& cards) {
    std::string likely;
    for (const Card& card : cards) {
        if (card.name != answers.wan_card && likely.empty())
            likely = card.name + " 10.1.0.1/24";
    }
    if (likely.empty())
        likely = answers.wan_card;
    for (;;) {
        const auto words = question(
            "4. Which card leads to the office, and this box's addresses there? (the same card: "
            "one arm; "
            "`none`)",
            likely);
        if (!words)
            return false;
        if (words->empty() || words->front() == "none")
            return true;
        if (!is_card(cards, words->front()))
            continue;
        answers.lan_card = words->front();
        answers.lan_addresses.assign(words->begin() + 1, words->end());
        return true;
    }
}

// Lines until an empty one: what another box's setup printed, or a network's.
bool ask_peers(Answers& answers) {
    std::printf(
        "5. Who else is there? Paste what `meshgate setup` printed on other boxes, or\n"
        "   `network FILE AUTHORITY`; an empty line ends it:\n");
    std::fflush(stdout);
    std::string text;
    for (std::string line; std::getline(std::cin, line) && !line.empty();)
        text += line + "\n";
    std::istringstream words{text};
    std::string first;
    if (words >> first && first == "network")
        return static_cast<bool>(words >> answers.network_file >> answers.authority);
    config::Report report{text, "answer"};
    const auto tree = config::parse_tree(report);
    if (tree && tree->kind == config::NodeKind::list)
        answers.peers = yaml_text(*tree, 2);
    return text.empty() || !answers.peers.empty();
}

}  // namespace

std::optional<Answers> ask(const std::vector<Card>& cards, bool can_follow_host) {
    std::printf("Cards of this machine:\n");
    for (const Card& card : cards)
        std::printf("  %s\n", printable(describe(card)).c_str());
    std::string host(256, '\0');
    if (gethostname(host.data(), host.size() - 1) != 0)
        host.clear();
    host = host.substr(0, std::min(host.find('\0'), host.find('.')));
    Answers answers;
    const auto name = question("1. What is this site called?", host);
    if (!name)
        return {};
    answers.name = name->empty() ? "" : name->front();
    if (!ask_wan(answers, cards, can_follow_host) || !ask_lan(answers, cards))
        return {};
    if (!ask_peers(answers)) {
        std::fprintf(stderr, "meshgate: that is neither a list of peers nor a network\n");
        return {};
    }
    return answers;
}

}  // namespace meshgate::cli
