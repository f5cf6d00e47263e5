// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/setup/cards.h"
#include "cli/setup/steps.h"
#include "config/model.h"

namespace meshgate::cli {

// The machine's own network goes from a card of the box to the twin of its port.
struct Move {
    Card card;
    std::string twin;
    bool follows = false;  // the box takes what the twin has; else it gives the twin its addresses
    bool stays_card = true;  // the kernel keeps the interface: not pci:
};
std::vector<Move> moves_of(const config::Model& model, const std::vector<Card>& cards);

// Addresses and default routes, while connections over them go on; once the daemon runs.
std::vector<Step> move_steps(const std::vector<Move>& moves);
// Back to how it was before the daemon ran.
Result<void> undo(const std::vector<Move>& moves);
// So that it is the same after the next start of the machine: nobody configures the cards any more, and
// whoever asked for addresses on a card, ifupdown or systemd-networkd, asks on the twin that is followed.
std::vector<Step> keep_steps(const std::vector<Move>& moves);

// A file of ifupdown in which the lines of these cards are comments, and what they said of each.
struct Interfaces {
    std::string text;
    std::map<std::string, std::vector<std::string>> stanzas;  // lines from "iface CARD ..." on
};
Interfaces without_cards(std::string_view interfaces, const std::vector<std::string>& cards);

// NetworkManager takes a card's addresses away as soon as it may not have the card.
bool held_by_network_manager(const std::string& card);

}  // namespace meshgate::cli
