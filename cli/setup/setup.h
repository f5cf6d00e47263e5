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
};

// Makes this machine a box: five questions, a key, a box file with comments. Never writes over a box
// file or a key; what is as it should be already is left alone.
ExitCode setup(const SetupOptions& options);

}  // namespace meshgate::cli
