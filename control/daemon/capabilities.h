// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "config/model.h"

namespace meshgate::control {

// A set of Linux capabilities: bit N is capability N.
using Capabilities = uint64_t;

// What ports of these kinds need: to be made, and to be bound anew when their interface comes back.
Capabilities needed_capabilities(const std::vector<config::Port>& ports) noexcept;

// Gives up for good, in all threads to come, what is not in `kept`. Nothing that the process does not
// have is gained. Call it before there are other threads: the kernel keeps capabilities per thread.
Result<void> keep_capabilities(Capabilities kept);

}  // namespace meshgate::control
