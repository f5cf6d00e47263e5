// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/time.h"
#include "control/neighbor/neighbors.h"
#include "control/packets/icmp.h"
#include "control/underlay/underlay.h"
#include "control/wireguard/device.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::mesh {

using control::Neighbors;
using control::UnderlayPort;

// A link: our wan port, and the endpoint of the member on its other end.
struct LinkKey {
    PortId port = kNoPort;
    Endpoint remote;

    auto operator<=>(const LinkKey&) const = default;
};

// Links as the packet path knows them, and which peers' datagrams leave by which: keeps the outer
// headers right while next hops and ports change. A peer's path changes by one store.
class LinkTable {
public:
    // Both outlive this.
    LinkTable(Dataplane& dataplane, Neighbors& neighbors);
    ~LinkTable();
    LinkTable(const LinkTable&) = delete;
    LinkTable& operator=(const LinkTable&) = delete;

    void set_ports(std::vector<UnderlayPort> ports, Time now);
    void set_listen_port(uint16_t listen_port, Time now);
    const std::vector<UnderlayPort>& ports() const noexcept { return ports_; }
    uint16_t listen_port() const noexcept { return listen_port_; }

    // Whether the port can reach the endpoint at all.
    bool has_way(const LinkKey& key) const;
    // kNoLink: no way there, or no room. The same key twice is one link with two holders.
    LinkId add(const LinkKey& key, Time now);
    // Peers that use it have no path afterwards.
    void remove(LinkId id);
    // kNoLink: none.
    LinkId id_of(const LinkKey& key) const;
    const LinkKey& key_of(LinkId id) const { return links_.at(id).key; }
    // Null: not addressed yet, as the next hop has not answered.
    const Link* find(LinkId id) const;

    // The peer's datagrams leave by this link from now on.
    void use(PeerId peer, LinkId id);
    // The peer's packets wait for a session: there is no path yet, but they are not refused.
    void wait(PeerId peer);
    // No way there: packets are refused (no_endpoint).
    void refuse(PeerId peer);

    // A handshake message; waits for the next hop's answer, the last one only.
    void send(LinkId id, const wireguard::SendMessage& message, Time now);

    void on_neighbor(const Neighbors::Event& event, Time now);
    // A datagram that left by one of these links did not fit. True when it was one of ours.
    bool on_path_mtu(const control::PathMtuReport& report, Time now);
    void tick(Time now);

private:
    struct State {
        LinkKey key;
        unsigned nb_holders = 1;
        std::optional<control::Way> way;
        std::shared_ptr<const Link> link;
        std::set<PeerId> peers;
        std::optional<wireguard::SendMessage> waiting;
        uint16_t learned_mtu_bytes = 0;  // 0: the port's
        Time mtu_expires{};
    };

    const UnderlayPort* port_of(PortId id) const;
    std::optional<control::Way> way_to(const LinkKey& key) const;
    void resolve(LinkId id, State& state, Time now);
    void rebuild(LinkId id, State& state, const MacAddress& next_hop, Time now);
    void set(LinkId id, State& state, std::shared_ptr<const Link> link);
    void leave(PeerId peer);

    Dataplane& dataplane_;
    Neighbors& neighbors_;
    std::vector<UnderlayPort> ports_;
    uint16_t listen_port_ = 0;
    std::map<LinkId, State> links_;
    std::map<LinkKey, LinkId> ids_;
    std::map<PeerId, LinkId> used_;
    std::shared_ptr<const Link> nowhere_;  // stands in where a peer waits
};

}  // namespace meshgate::mesh
