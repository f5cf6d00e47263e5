// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace meshgate::web {

// For good: no further file descriptors than a few, no core, no way to gain privileges again. A
// process that started as root becomes `user`; any other keeps its own.
Result<void> drop_privileges(const std::string& user);

}  // namespace meshgate::web
