// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace meshgate::web {

// Drops privileges for good: few file descriptors, no core dump, no way to gain privileges again.
// A process that started as root becomes `user`; any other keeps its own.
Result<void> drop_privileges(const std::string& user);

}  // namespace meshgate::web
