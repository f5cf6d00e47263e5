// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace meshgate::cli {

// What the shell sees. The comments are the table of docs/reference/exit-statuses.md.
enum class ExitCode : int {
    done = 0,           // done; `status`: nothing needs attention
    no = 1,             // the answer is no: something needs attention, a network file is refused
    usage = 2,          // wrong usage
    not_running = 3,    // the daemon is not running
    no_such_thing = 4,  // there is no such peer, route, port, reason, worker, link or member
    permission = 5,     // no permission to open the socket
    timeout = 6,        // the daemon did not answer in time (`--timeout`, 5 s)
    needs_restart = 8,  // `reload`: accepted, but part of it takes effect at the next start only
    bad_config = 78,    // the configuration or the network file is invalid; nothing was changed
};

}  // namespace meshgate::cli
