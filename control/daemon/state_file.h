// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace meshgate::control {

// Writes a file that is there whole or as it was before, whenever the machine stops. For its owner
// alone.
Result<void> write_state_file(const std::string& path, const std::string& text);

}  // namespace meshgate::control
