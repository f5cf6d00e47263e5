// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/keys.h"
#include "base/result.h"
#include "cli/setup/answers.h"

namespace meshgate::cli {

// One change of the machine.
struct Step {
    std::string what;  // for people: "write /etc/meshgate/box.key"
    std::function<Result<void>()> run;
};

// Files belong to the daemon's user and to group meshgate where the package made them.
Result<void> write_new_file(const std::string& path, const std::string& text, unsigned mode);

// Cards for vfio-pci, now and at every start, and hugepages for what they write into.
std::vector<Step> card_steps(const std::vector<Card>& cards);
Step start_step();

// Runs a program without a shell; fails with what it printed last.
Result<void> run_program(const std::vector<std::string>& words);

}  // namespace meshgate::cli
