// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "tests/unit/control/fake_dataplane.h"
#include "tests/unit/world/datagram.h"

namespace meshgate::control::world {

// What the workers of one box do with what control gives them: routes, source checks, sessions,
// paths, links and relay entries are looked up as the pipeline does; only nothing is encrypted.
class PacketPath final : public FakeDataplane {
public:
    // What leaves the box, or has arrived.
    class Outside {
    public:
        virtual ~Outside() = default;
        virtual void transmit(unsigned box, PortId port, Datagram datagram) = 0;
        virtual void on_lan(unsigned box, std::span<const uint8_t> ip) = 0;
        virtual void on_forwarded(unsigned box, const Datagram& datagram) = 0;
    };
    struct Statistics {
        uint64_t control_packets = 0;  // that control sent by sessions
        uint64_t control_bytes = 0;    // on the underlay, handshakes included
        uint64_t relayed = 0;
        uint64_t hairpins = 0;  // opened, and sealed for another box
        std::map<Drop, uint64_t> drops;
    };

    PacketPath(DataplaneOptions options, unsigned box, Outside& outside)
        : FakeDataplane{std::move(options)}, box_{box}, outside_{outside} {}

    // ---- packets ----
    void from_lan(Bytes ip) { route(std::move(ip), kNoPeer); }
    void from_wan(PortId port, Datagram datagram);
    // As a member would who says what it likes: by the path, or by the link.
    bool send_sealed(PeerId peer, Bytes inner, LinkId link = kNoLink);

    Statistics statistics;
    // Of a member that does what it likes. True: the datagram of others is not forwarded.
    std::function<bool(const Datagram&)> swallows;
    // Every packet that control seals; true: it is not sent.
    std::function<bool(PeerId, LinkId, std::span<const uint8_t>)> censors;

    // ---- Dataplane ----
    void remove_peer(PeerId peer) override;
    bool send(Packet packet, uint32_t order) override;

private:
    void send_frame(PortId port, std::span<const uint8_t> frame);
    void open(PortId port, const Datagram& datagram, Keypair& keypair);
    void forward(Datagram datagram, LinkId link);
    void take_inner(PortId port, const Datagram& datagram, PeerId from);
    void route(Bytes ip, PeerId from);
    void seal(PeerId peer, Bytes inner, const Link* link, bool waits);
    void punt_mesh(PortId port, const Datagram& datagram, PeerId from);
    const ForwardingEntry& entry_for(const IpAddress& address) const;
    void drop(Drop reason) { ++statistics.drops[reason]; }

    unsigned box_;
    Outside& outside_;
    std::map<PeerId, uint64_t> mesh_paid_until_;
};

// Of an IP packet; family none when it is too short to have one.
IpAddress source_of(std::span<const uint8_t> ip);
IpAddress destination_of(std::span<const uint8_t> ip);
bool is_babel(std::span<const uint8_t> ip);

}  // namespace meshgate::control::world
