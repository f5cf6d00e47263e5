// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/wire/frame.h"
#include "dataplane/worker/worker.h"

namespace meshgate {

// Gives an ARP or neighbour discovery frame to control.
void punt_resolution(Worker& worker, rte_mbuf* mbuf, Frame frame) noexcept;

// Gives the packet to control, its data from `offset` on.
void punt_at(Worker& worker, rte_mbuf* mbuf, Frame frame, uint16_t offset, Punt reason) noexcept;

}  // namespace meshgate
