// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace meshgate::control {

// Monotonic; always an argument, so that tests can let hours pass.
using Time = std::chrono::steady_clock::time_point;
constexpr Time kNever = Time::max();

}  // namespace meshgate::control
