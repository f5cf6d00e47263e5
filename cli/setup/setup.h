// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/exit_code.h"

namespace meshgate::cli {

struct SetupOptions {
    std::string answers;  // a file; empty: ask
    std::string folder = "/etc/meshgate";
    bool dry_run = false;
    bool cut_ssh = false;  // also when it ends the ssh session that it came by
    bool start = false;
    std::string blink;              // a card: let its lamp blink, and do nothing else
    unsigned confirm_seconds = 60;  // to say on a terminal that ssh still works
};

// Makes this machine a box: five questions, a key, a box file with comments. Never writes over a box
// file or a key; what is as it should be already is left alone. With `start` the daemon runs then, and
// what the machine has on the cards of the box, addresses and this ssh session, goes on their twins.
ExitCode setup(const SetupOptions& options);

}  // namespace meshgate::cli
