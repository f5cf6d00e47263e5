// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/bpf.h>

#include "base/unique_fd.h"

namespace meshgate {

UniqueFd call_bpf(bpf_cmd command, bpf_attr& attributes) noexcept;

// Attaches an XDP program to an interface as long as the link is open; `flags` XDP_FLAGS_*. Fails,
// with errno, where another one is attached.
UniqueFd link_xdp(int program, unsigned interface_index, unsigned flags) noexcept;

}  // namespace meshgate
