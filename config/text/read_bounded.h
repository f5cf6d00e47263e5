// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace meshgate::config {

// Reads from `fd` to its end, but no more than one byte beyond `max_bytes`, so that too much is seen
// as such. False, with errno, when reading fails.
bool read_bounded(int fd, std::string& text, size_t max_bytes);

}  // namespace meshgate::config
