// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/api/packet.h"
#include "dataplane/tables/keypair.h"
#include "dataplane/tables/peer_slot.h"

namespace meshgate {

// Where a packet that another worker handed over goes on.
enum class Resume : uint8_t { reassemble, open, route, tx };

// The ICMP error that a packet shall be answered with.
enum class IcmpError : uint8_t {
    none,
    ttl_expired,
    no_route,
    no_endpoint,
    no_listener,
    too_big,
};

// Travels with each mbuf, in its private area. From classify on, the mbuf's data begins at the IP
// header (overlay) or at the WireGuard message (underlay).
struct PacketMeta {
    // What a packet is opened with, from index to decap, and what it leaves by, from path (of relayed
    // ones: index) on. No packet is in both phases.
    union {
        Keypair* keypair;
        PeerSlot* slot;
    };
    union {
        uint64_t counter;
        const Link* link;
    };
    PeerId from_peer;  // kNoPeer: came in from a LAN port
    uint16_t arrival_port;
    uint16_t departure_port;
    union {
        uint32_t forward;  // index into Snapshot::entries
        LinkId link_id;    // relayed: what `link` was found under
    };
    PeerId to_peer;
    uint16_t mtu_bytes;        // too_big: what the way onwards takes
    uint16_t outer_len;        // UDP payload length as received, for the peer's byte count
    uint16_t outer_l3_offset;  // from buf_addr: the outer IP header stays readable in front
    uint8_t outer_tos;
    Resume resume;
    IcmpError error;
    MacAddress source_mac;  // of the LAN host that sent it
    // What control sees and says; off the cache line that the packet path uses.
    alignas(64) PacketInfo info;
};
static_assert(offsetof(PacketMeta, info) == 64, "the packet path's part is one cache line");
static_assert(offsetof(PacketMeta, source_mac) + sizeof(MacAddress) <= 48,
              "with room for a policy verdict, a flow and a segment");

inline PacketMeta& meta_of(rte_mbuf* mbuf) noexcept {
    return *static_cast<PacketMeta*>(rte_mbuf_to_priv(mbuf));
}

}  // namespace meshgate
