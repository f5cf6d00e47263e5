// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace meshgate {

// Where the af_xdp driver finds our XDP program, as long as the process lives. It has one of its own
// from libxdp, whose map it then looks up by number; only CAP_SYS_ADMIN may do that.
Result<std::string> xdp_redirect_path();

// Takes the program that the driver attached to the interface over: as the driver leaves it, it
// outlives a killed process, and the next one finds the interface occupied. Closes the driver's
// descriptors of it, among `fds_of_driver`, which nobody else would.
Result<UniqueFd> hold_xdp_program(std::span<const int> fds_of_driver, unsigned interface_index);

}  // namespace meshgate
