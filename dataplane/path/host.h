// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/wire/frame.h"
#include "dataplane/worker/worker.h"

// What the stages give to the machine's own kernel: host_side.h says how it gets there, and guard.h
// what of it.

namespace meshgate {

// Gives a frame, data at the Ethernet header, to the twin of the port that it arrived by.
void give_frame_to_host(Worker& worker, rte_mbuf* mbuf, Frame frame) noexcept;
// The same with a frame that would die here for that reason, if the kernel may have a use for it.
bool host_takes_frame(Worker& worker, rte_mbuf* mbuf, Frame frame, Drop reason) noexcept;
// Gives a DHCP server's answer to a host on the wire to the twin. It may come to the address that
// is only offered, which nobody here knows. True: it was one.
bool host_takes_lease(Worker& worker, rte_mbuf* mbuf, Frame frame) noexcept;
// A copy of what resolves neighbours: both control and the kernel have neighbours. Questions for
// addresses of ours are control's alone, so that one answer is given.
void copy_to_host(Worker& worker, rte_mbuf* mbuf, Frame frame, const PortView& view) noexcept;
// A packet for an address of ours, data at the IP header, out of the network or from a LAN host.
// False: no part of the kernel hears of it.
bool host_takes_packet(Worker& worker, rte_mbuf* mbuf) noexcept;

}  // namespace meshgate
