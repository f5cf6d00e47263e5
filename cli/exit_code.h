// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace meshgate::cli {

// What the shell sees; docs/operate.md explains each.
enum class ExitCode : int {
    done = 0,
    no = 1,  // the answer is no: unhealthy, refused
    usage = 2,
    not_running = 3,
    no_such_thing = 4,
    permission = 5,
    timeout = 6,
    needs_restart = 8,
    bad_config = 78,  // EX_CONFIG
};

}  // namespace meshgate::cli
