// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace meshgate::bench {

// Starts DPDK's EAL for what stands beside ours, without huge pages or ports, the first time it is
// called. Allows 512-bit vectors, which rte_fib takes only where the width is allowed by name.
// False when it does not start.
bool eal();

}  // namespace meshgate::bench
