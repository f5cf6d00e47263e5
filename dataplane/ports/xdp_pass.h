// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace meshgate {

// An XDP program that lets every frame pass, attached to an interface as long as the object lives,
// or its process. What it is for is a side effect: the other end of a veth pair must then send
// frames of wire size, and no longer hands over TCP and UDP super-packets of up to 64 KiB.
// Needs the capabilities net_admin and bpf (or sys_admin).
Result<UniqueFd> attach_xdp_pass(unsigned interface_index);

}  // namespace meshgate
