// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/bpf.h>
#include <linux/if_link.h>

#include "base/unique_fd.h"

namespace meshgate {

// Attaches an XDP program to an interface as long as the link is open; `flags` XDP_FLAGS_*. Fails,
// with errno, where another one is attached.
inline UniqueFd link_xdp(int program, unsigned interface_index, unsigned flags) noexcept {
    bpf_link_create_opts options{};
    options.sz = sizeof options;
    options.flags = flags;
    return UniqueFd{bpf_link_create(program, static_cast<int>(interface_index), BPF_XDP, &options)};
}

}  // namespace meshgate
