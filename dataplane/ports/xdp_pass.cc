// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/xdp_pass.h"

#include <cerrno>
#include <iterator>

#include "dataplane/ports/xdp_link.h"

namespace meshgate {

namespace {

UniqueFd load_program() noexcept {
    // return XDP_PASS;
    const bpf_insn instructions[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K,
         .dst_reg = 0,
         .src_reg = 0,
         .off = 0,
         .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    };
    return UniqueFd{bpf_prog_load(BPF_PROG_TYPE_XDP, nullptr, "Apache-2.0", instructions,
                                  std::size(instructions), nullptr)};
}

}  // namespace

Result<UniqueFd> attach_xdp_pass(unsigned interface_index) {
    const UniqueFd program = load_program();
    if (!program)
        return fail(errno, "cannot load an XDP program");
    UniqueFd link = link_xdp(program.get(), interface_index, XDP_FLAGS_DRV_MODE);
    if (!link)
        return fail(errno, "cannot attach an XDP program");
    return link;
}

}  // namespace meshgate
