// SPDX-License-Identifier: Apache-2.0
// As standard.h, for libraries that speak JSON in most files.

#include "base/precompiled/standard.h"

#include <nlohmann/json.hpp>
