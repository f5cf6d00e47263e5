// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/setup/cards.h"
#include "config/text/diagnostic.h"

namespace meshgate::cli {

// What `setup` asks. Values are text as the box file will have it, whose reader checks them.
struct Answers {
    std::string name;
    std::string device = "af_packet";  // af_packet, af_xdp or pci: how cards are driven
    std::string wan_card;
    bool host = true;                        // ports have twins
    std::vector<std::string> wan_addresses;  // or "host": what the kernel gets on the twin
    std::vector<std::string> gateways;
    std::string lan_card;  // empty: none; the wan card's: one arm
    std::vector<std::string> lan_addresses;
    std::string network_file, authority;  // both or none
    std::string peers;                    // entries of `peers`, as they will stand there
};

bool follows_host(const Answers& answers);

// From the file of --answers; empty, with diagnostics, when it is not usable.
std::optional<Answers> read_answers(std::string_view text, const std::string& file_name,
                                    std::vector<config::Diagnostic>& diagnostics);

// From the terminal: five questions, each with what is likely. Empty at the end of the input.
std::optional<Answers> ask(const std::vector<Card>& cards);

}  // namespace meshgate::cli
