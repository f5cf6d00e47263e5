// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/address.h"
#include "dataplane/api/drop.h"
#include "dataplane/api/link.h"

struct rte_mbuf;

namespace meshgate {

// Of echo requests by which control probes; answers with another go to the machine's kernel.
constexpr uint16_t kProbeIdentifier = 0x6d67;

// What a worker shall do with a packet from control.
enum class Inject : uint8_t {
    frame,  // bytes are a whole Ethernet frame: give it to `port` as it is
    route,  // bytes are an inner IP packet: look up its destination
    seal,   // bytes are an inner IP packet, or none (a keepalive): seal for `peer`
};

// Travels with a packet across the boundary; which fields hold depends on `punt` or `inject`.
struct PacketInfo {
    Punt punt = Punt::nb_reasons;
    Inject inject = Inject::frame;
    PortId port = kNoPort;   // arrival port going up, departure port going down
    PeerId peer = kNoPeer;   // no_session, seal, icmp_to_us and mesh out of a session
    LinkId link = kNoLink;   // seal: leave by this link instead of the peer's path (kNoLink: path)
    uint16_t mtu_bytes = 0;  // seal: a probe of this size; nobody may cut it (0: none)
    uint16_t vlan = kNoVlan;
    MacAddress source_mac;  // arp, neighbor_discovery, icmp_to_us, mesh: who sent the frame
    Endpoint remote;        // handshake, mesh out of a session: outer source
    Endpoint local;         // handshake, mesh out of a session: outer destination
    IpAddress next_hop;     // unresolved_neighbor
};

// An mbuf that control owns. Empty after a move.
class Packet {
public:
    Packet() noexcept = default;
    explicit Packet(rte_mbuf* mbuf) noexcept : mbuf_{mbuf} {}

    explicit operator bool() const noexcept { return mbuf_ != nullptr; }
    std::span<uint8_t> bytes() noexcept;
    std::span<const uint8_t> bytes() const noexcept;
    PacketInfo& info() noexcept;
    const PacketInfo& info() const noexcept;
    // Makes room in front, from the headroom; null when it does not fit.
    uint8_t* prepend(uint16_t len) noexcept;
    rte_mbuf* get() const noexcept { return mbuf_.get(); }
    rte_mbuf* release() noexcept { return mbuf_.release(); }

private:
    struct Free {
        void operator()(rte_mbuf* mbuf) const noexcept;
    };
    std::unique_ptr<rte_mbuf, Free> mbuf_;
};

// Puts the outer headers of `link` in front of a WireGuard message, so that the packet can be sent
// with Inject::frame on link.port. `dscp_ecn` is the outer TOS or traffic class (W41). False when
// the headroom is too small.
[[nodiscard]] bool encapsulate(Packet& packet, const Link& link, uint8_t dscp_ecn) noexcept;

}  // namespace meshgate
