// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/setup/answers.h"
#include "config/load.h"

namespace meshgate::cli {

// What the box files of this version may say, asked of their reader: so setup writes it from the day
// on that it is understood.
struct Abilities {
    bool twin = false;         // `host: true`: the kernel keeps its way over the card
    bool follow_host = false;  // `addresses: host`
    bool one_arm = false;      // `role: [wan, lan]`
};
Abilities abilities();

// The device of a port on this card: "af_packet:eth0", "pci:0000:03:00.0".
std::string device_of(const Answers& answers, const Card& card);

// The box file, with comments.
std::string box_file(const Answers& answers, const std::vector<Card>& cards, const Abilities& can);

// What other boxes write about this one, as an entry of `peers`. An endpoint needs a public address;
// without one this box calls the others.
std::string peer_entry(const Answers& answers, const std::string& public_key,
                       const config::Model& model);

}  // namespace meshgate::cli
