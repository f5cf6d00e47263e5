// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/exit_code.h"

namespace meshgate::cli {

// As wg(8)'s commands of the same names: keys are base64 lines on stdin and stdout.
ExitCode generate_key();
ExitCode generate_preshared_key();
// Private key in, public key out.
ExitCode derive_public_key();

}  // namespace meshgate::cli
