// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/wire/frame.h"
#include "dataplane/worker/worker.h"

// What boxes say to each other, Babel and mesh control messages, on its way up to control. Beyond a
// rate per sender it is dropped, so that one member's flood does not shut out the others.

namespace meshgate {

inline bool is_link_local_v6(const uint8_t* address) noexcept {
    return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

// True, and control has it, for Babel of a peer: from a link-local address by UDP to the Babel
// port, of the group of Babel routers or of a link-local address. Data at the IPv6 header.
bool takes_babel(Worker& worker, rte_mbuf* mbuf) noexcept;
// The same for mesh control messages of a peer, to an address that is known to be ours.
bool takes_mesh_control(Worker& worker, rte_mbuf* mbuf) noexcept;
// The same for Babel in clear, of a LAN port. Data at the Ethernet header.
bool takes_babel_in_clear(Worker& worker, rte_mbuf* mbuf, const PortView& view,
                          Frame frame) noexcept;

}  // namespace meshgate
