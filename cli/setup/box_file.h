// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/setup/answers.h"
#include "config/load.h"

namespace meshgate::cli {

// The device of a port on this card: "af_packet:eth0", "pci:0000:03:00.0".
std::string device_of(const Answers& answers, const Card& card);

// The box file, with comments.
std::string box_file(const Answers& answers, const std::vector<Card>& cards);

// What other boxes write about this one, as an entry of `peers`. A port that follows the kernel has
// the networks that its card has now. An endpoint needs a public address of its own; without one this
// box calls the others.
std::string peer_entry(const config::Model& model, const std::vector<Card>& cards);

// The card that a port stands on; null when the kernel has none.
const Card* card_of(const config::Port& port, const std::vector<Card>& cards);

}  // namespace meshgate::cli
