// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/xdp_link.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace meshgate {

UniqueFd call_bpf(bpf_cmd command, bpf_attr& attributes) noexcept {
    return UniqueFd{static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof attributes))};
}

UniqueFd link_xdp(int program, unsigned interface_index, unsigned flags) noexcept {
    bpf_attr attributes{};
    attributes.link_create.prog_fd = static_cast<uint32_t>(program);
    attributes.link_create.target_ifindex = interface_index;
    attributes.link_create.attach_type = BPF_XDP;
    attributes.link_create.flags = flags;
    return call_bpf(BPF_LINK_CREATE, attributes);
}

}  // namespace meshgate
