// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/worker.h"

namespace meshgate {

// What is wrong with a frame, or nb_reasons.
constexpr Drop kSound = Drop::nb_reasons;

struct Frame {
    uint16_t ether_type = 0;  // host order, behind a VLAN tag if there is one
    uint16_t l3_offset = 0;
    MacAddress destination;
    MacAddress source;
};

// Everything up to the IP packet, for both sides: Ethernet, VLAN, destination MAC; ARP and
// neighbour discovery go to control. True: an IPv4 packet not yet looked at, or an IPv6 packet
// whose header is sound, with nothing behind it. False: the mbuf was dropped or punted.
bool accept_frame(Worker& worker, rte_mbuf* mbuf, const PortView& view, Frame& frame) noexcept;

// The IPv4 header at `l3_offset`: sound, its checksum right; cuts what stands behind the packet.
// kSound, or what is wrong.
Drop check_ipv4(rte_mbuf* mbuf, uint16_t l3_offset) noexcept;

bool is_ours(const PortView& view, const IpAddress& address) noexcept;

// Gives the packet to control, its data from `offset` on.
void punt_at(Worker& worker, rte_mbuf* mbuf, const Frame& frame, uint16_t offset,
             Punt reason) noexcept;

}  // namespace meshgate
