// SPDX-License-Identifier: Apache-2.0
// The five questions. What is answered is checked as the box file is, once all is known.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
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

// Of the card's addresses those that stay.
std::vector<std::string> own_addresses(const Card& card) {
    std::vector<std::string> own;
    std::ranges::copy_if(card.addresses, std::back_inserter(own), [&](const std::string& address) {
        return std::ranges::count(card.given, address) == 0;
    });
    return own;
}

// What the machine has today; `host` where it was given that, or has nothing.
std::string likely_address(const Card& card) {
    const std::vector<std::string> own = own_addresses(card);
    const bool v4_given = std::ranges::any_of(
        card.given, [](const std::string& address) { return address.find(':') == address.npos; });
    if (own.empty() || v4_given)
        return "host";
    std::vector<std::string> words = own;
    words.emplace_back("via");
    for (const std::string& gateway : {card.gateway_v4, card.gateway_v6}) {
        if (!gateway.empty())
            words.push_back(gateway);
    }
    if (words.back() == "via")
        words.pop_back();
    return joined(words, " ");
}

bool ask_wan(Answers& answers, const std::vector<Card>& cards) {
    do {
        const auto words = question("2. Which card leads to the internet?", likely_wan(cards));
        if (!words)
            return false;
        answers.wan_card = words->empty() ? "" : words->front();
    } while (!is_card(cards, answers.wan_card));
    const auto words = question(
        "3. Its addresses, `via` its gateway; `host`: what this machine gets there by DHCP?",
        likely_address(*find(cards, answers.wan_card)));
    if (!words)
        return false;
    const auto via = std::ranges::find(*words, "via");
    answers.wan_addresses.assign(words->begin(), via);
    if (via != words->end())
        answers.gateways.assign(via + 1, words->end());
    return true;
}

// Another card with the address that it has or could have; without another one, one arm.
std::string likely_lan(const std::vector<Card>& cards, const std::string& wan_card) {
    const auto other =
        std::ranges::find_if(cards, [&](const Card& card) { return card.name != wan_card; });
    if (other == cards.end())
        return wan_card;
    const std::string own = joined(own_addresses(*other), " ");
    return other->name + " " + (own.empty() ? "10.1.0.1/24" : own);
}

bool ask_lan(Answers& answers, const std::vector<Card>& cards) {
    for (;;) {
        const auto words = question(
            "4. Which card leads to the office, and this box's addresses there? `none`: no "
            "office;\n"
            "   the card of question 2: one arm, the box stands beside the office's router",
            likely_lan(cards, answers.wan_card));
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

std::optional<Answers> ask(const std::vector<Card>& cards) {
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
    if (!ask_wan(answers, cards) || !ask_lan(answers, cards))
        return {};
    if (!ask_peers(answers)) {
        std::fprintf(stderr, "meshgate: that is neither a list of peers nor a network\n");
        return {};
    }
    return answers;
}

}  // namespace meshgate::cli
