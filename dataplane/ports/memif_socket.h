// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace meshgate {

// Clears away the socket that a killed memif server left in the file system, and which no other
// server could bind. A server that lives is left alone. `argument`: of the box file.
void remove_stale_memif_socket(const std::string& argument) noexcept;

}  // namespace meshgate
