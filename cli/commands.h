// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "cli/exit_code.h"
#include "cli/show.h"

namespace meshgate::cli {

enum class Form : uint8_t { text, json };

struct Options {
    std::string socket;
    std::chrono::milliseconds timeout{5000};
    Form form = Form::text;
    Colour colour = Colour::off;
    Zeros zeros = Zeros::hide;
};

// Each asks the daemon, prints the answer to stdout or what went wrong to stderr, and says which
// status to exit with.
ExitCode show_status(const Options& options);
// `noun`: peers, routes, ports, drops, workers, babel, links, paths, members or relays. `name` may
// be empty: all.
ExitCode show(const Options& options, const std::string& noun, const std::string& name);
// Why packets to this peer go where they go.
ExitCode explain(const Options& options, const std::string& peer);
ExitCode reload(const Options& options);

enum class CheckForm : uint8_t { text, gcc, json };
// Needs neither daemon nor privilege beyond reading the files.
ExitCode check_config(const std::string& file, CheckForm form, Colour colour);

}  // namespace meshgate::cli
