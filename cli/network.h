// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/commands.h"

namespace meshgate::cli {

// `meshgate network ...`: all but the last need no daemon. The secret of the authority is read from
// a file and wiped; it never stands on a command line.

// Makes a key pair: the secret goes into a new file, the public key to stdout.
ExitCode network_keygen(const Options& options, const std::string& key_file);

enum class Force : uint8_t { no, yes };
struct SignArguments {
    std::string file;
    std::string key_file;
    Force force = Force::no;
};
// Writes FILE.sig. Refuses a file with an error, and a version that is not above the one that was
// signed before.
ExitCode network_sign(const Options& options, const SignArguments& arguments);

// `authority`: base64.
ExitCode network_verify(const Options& options, const std::string& file,
                        const std::string& authority);
// `authority` may be empty: then the signature file tells whose it is.
ExitCode network_show(const Options& options, const std::string& file,
                      const std::string& authority);
// Gives FILE and FILE.sig to the daemon of this box, which gives it to the others.
ExitCode network_push(const Options& options, const std::string& file);

}  // namespace meshgate::cli
