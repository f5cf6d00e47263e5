// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "control/api/state_provider.h"

namespace meshgate::control {

// The Prometheus text format, version 0.0.4.
std::string metrics_text(StateProvider& state);

}  // namespace meshgate::control
