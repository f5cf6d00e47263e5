// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/time.h"
#include "base/token_bucket.h"
#include "base/waiting_room.h"
#include "control/neighbor/neighbors.h"
#include "control/packets/icmp.h"
#include "control/underlay/underlay.h"
#include "control/wireguard/device.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// Where peers' datagrams leave: from an endpoint over the choice of a wan port and the next hop's
// MAC address to a Link in the peer's slot. Sends handshake messages the same way; those whose next
// hop is not resolved yet wait here.
class Paths {
public:
    Paths(Dataplane& dataplane, Neighbors& neighbors);
    ~Paths();
    Paths(const Paths&) = delete;
    Paths& operator=(const Paths&) = delete;

    // All paths are chosen afresh.
    void set_ports(std::vector<UnderlayPort> ports, Time now);
    const std::vector<UnderlayPort>& ports() const noexcept { return ports_; }
    // The first is the one we send from, unless a peer knows us by another.
    void set_listen_ports(std::vector<uint16_t> listen_ports, Time now);

    void set_endpoint(PeerId peer, const wireguard::Addressing& to, Time now);
    void remove(PeerId peer);
    // Null: no endpoint, or no way to it.
    const Link* link_of(PeerId peer) const;

    void send(const wireguard::SendMessage& message, Time now);

    void on_neighbor(const Neighbors::Event& event, Time now);
    // Believed for a while when it quotes a datagram of a live session (W43).
    void on_path_mtu(const PathMtuReport& report, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;

private:
    struct NextHop {
        PortId port;
        IpAddress address;
        auto operator<=>(const NextHop&) const = default;
    };
    struct PeerPath {
        wireguard::Addressing to;
        std::optional<Way> way;
        std::shared_ptr<const Link> link;
        uint16_t learned_mtu_bytes = 0;  // inner; 0: the port's
        Time mtu_expires = kNever;
    };

    std::optional<Way> way_to(const wireguard::Addressing& to) const;
    std::optional<Link> link_along(const Way& way, const wireguard::Addressing& to,
                                   const MacAddress& next_hop) const;
    void choose(PeerId peer, PeerPath& path, Time now);
    void rebuild(PeerId peer, PeerPath& path, const MacAddress& next_hop);
    void set_link(PeerId peer, PeerPath& path, std::shared_ptr<const Link> link);
    void forget_way(PeerId peer, PeerPath& path);

    Dataplane& dataplane_;
    Neighbors& neighbors_;
    std::vector<UnderlayPort> ports_;
    std::vector<uint16_t> listen_ports_;
    std::map<PeerId, PeerPath> paths_;
    std::map<NextHop, std::set<PeerId>> users_;
    std::set<std::pair<Time, PeerId>> mtu_deadlines_;
    WaitingBudget budget_;
    WaitingRoom<NextHop, wireguard::SendMessage> waiting_;
    TokenBucket mtu_reports_{100, 100};
};

}  // namespace meshgate::control
