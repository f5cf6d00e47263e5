// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/address.h"
#include "dataplane/api/keypair.h"

namespace meshgate {

using PortId = uint16_t;  // position in DataplaneOptions::ports
constexpr PortId kNoPort = UINT16_MAX;

using LinkId = uint32_t;  // slot of the link table
constexpr LinkId kNoLink = UINT32_MAX;
constexpr LinkId kMaxLinks = 65536;

constexpr uint16_t kNoVlan = 0;  // 802.1Q reserves tag 0: untagged

// A direct underlay way: our wan port and the remote endpoint, with the outer headers prepared.
// Const once published; a change of any of it is a new Link.
struct alignas(64) Link {
    PortId port = kNoPort;
    uint16_t mtu_bytes = 0;  // largest inner packet: port MTU - 60 (IPv4) or - 80 (IPv6)
    uint8_t header_len = 0;  // Ethernet [+ VLAN] + IP + UDP
    uint8_t ip_offset = 0;   // 14 or 18
    bool outer_ipv6 = false;
    Endpoint remote;
    Endpoint local;                    // the address (and listen port) the peer sees us at
    std::array<uint8_t, 66> header{};  // lengths, ECN and checksums are filled per packet
};

struct LinkOptions {
    PortId port;
    uint16_t port_mtu_bytes;
    uint16_t vlan;  // kNoVlan: untagged
    MacAddress source_mac;
    MacAddress next_hop_mac;  // of the endpoint if on-link, else of the gateway
    Endpoint local;
    Endpoint remote;  // same family as local
};
Link make_link(const LinkOptions& options) noexcept;

// Per peer, what changes without a new Snapshot: one store each. Control writes, workers read.
// What a pointer refers to is retired through Dataplane::retire, never freed directly.
struct alignas(64) PeerSlot {
    std::atomic<Keypair*> sending{nullptr};  // null: no session, packets wait in control
    std::atomic<const Link*> path{nullptr};  // null: no endpoint known
    // When a worker last told control that the endpoint moved, so that a burst makes one note and
    // not one per packet. Workers race benignly: at worst a note is sent twice.
    std::atomic<uint64_t> roaming_noted_tsc{0};
    // Of a mesh peer: its datagrams come by many links and relays, and none of that moves its path,
    // so control is not told (no endpoint_moved). Its links are learned from Babel.
    std::atomic<bool> path_is_fixed{false};
    // Largest inner packet that gets through where the path goes by relays: theirs are other links,
    // and they do not answer what is too big, so control tries sizes. 0: what the link takes.
    std::atomic<uint16_t> path_mtu_bytes{0};

    // Of `link`, which is the path.
    uint16_t mtu_of(const Link& link) const noexcept {
        const uint16_t most = path_mtu_bytes.load(std::memory_order_relaxed);
        return most == 0 || most > link.mtu_bytes ? link.mtu_bytes : most;
    }
};

}  // namespace meshgate
