// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/time.h"
#include "control/neighbor/neighbors.h"
#include "control/packets/icmp.h"
#include "control/underlay/choose_link.h"
#include "control/underlay/failover.h"
#include "control/underlay/path_mtu.h"
#include "control/underlay/send.h"
#include "control/wireguard/device.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// A link of the mesh: our wan port, and the endpoint of the member at its other end.
struct LinkKey {
    PortId port = kNoPort;
    Endpoint remote;

    auto operator<=>(const LinkKey&) const = default;
};

// All links, and which peers' datagrams leave by which: from an endpoint over the choice of a wan
// port, the next hop and its MAC address to the `Link` that workers read; kept right while ports
// and neighbours change. A stock peer's link follows its endpoint, and the port is ours to choose.
// A link of the mesh has a port, an id in the dataplane's link table, and holders that count.
//
// As long as the next hop has not answered, a peer has a stand-in for its path: packets wait for a
// session instead of being refused, and what would leave is dropped (unresolved_neighbor).
class Links {
public:
    // Both outlive this.
    Links(Dataplane& dataplane, Neighbors& neighbors);
    ~Links();
    Links(const Links&) = delete;
    Links& operator=(const Links&) = delete;

    // All links are chosen afresh.
    void set_ports(std::vector<UnderlayPort> ports, Time now);
    const std::vector<UnderlayPort>& ports() const noexcept { return ports_; }
    // The first is the one we send from, unless a peer knows us by another.
    void set_listen_ports(std::vector<uint16_t> listen_ports, Time now);
    // 0: none yet.
    uint16_t listen_port() const noexcept {
        return listen_ports_.empty() ? uint16_t{0} : listen_ports_.front();
    }

    // ---- stock peers ----
    // What it is kept away from for its silence, or for a port that fell out, is left to Failover.
    void set_endpoint(PeerId peer, const wireguard::Addressing& to, Time now);
    // A handshake of the peer succeeded.
    void on_handshake(PeerId peer, Initiator initiator, Time now);
    // Whether any port leads there.
    bool leads_to(const IpAddress& remote) const {
        return choose_link(ports_, remote, IpAddress{}).has_value();
    }
    // Peers of which one handshake is wanted, to see whether a port serves again.
    std::vector<PeerId> take_trials() { return std::exchange(trials_, {}); }
    // By port: peers that it serves no longer, and which answer by another.
    std::map<PortId, size_t> nb_moved() const { return failover_.nb_moved(); }
    void send(const wireguard::SendMessage& message, Time now);

    // ---- links of the mesh ----
    // Whether the port leads to the endpoint at all.
    bool has_way(const LinkKey& key) const;
    // kNoLink: no way there, or no room. The same key twice is one link with two holders.
    LinkId add(const LinkKey& key, Time now, OuterFragments fragments = OuterFragments::forbidden);
    // Peers that use it have no path afterwards.
    void remove(LinkId id);
    // kNoLink: none.
    LinkId id_of(const LinkKey& key) const;
    LinkKey key_of(LinkId id) const;
    // Null: not addressed yet, as the next hop has not answered.
    const Link* find(LinkId id) const;
    void send(LinkId id, const wireguard::SendMessage& message, Time now);
    // Whether a router on the way said how much it takes.
    bool is_mtu_told(const Link& link) const;

    // ---- paths of peers ----
    // The peer's datagrams leave by this link from now on.
    void use(PeerId peer, LinkId id);
    // The peer's packets wait for a session: there is no path yet, but they are not refused.
    void wait(PeerId peer);
    // No way there: packets are refused (no_endpoint).
    void refuse(PeerId peer);
    // The same for good: the number may be given to another peer.
    void forget(PeerId peer);
    struct PathView {
        Endpoint remote;
        PortId port;
        uint16_t mtu_bytes;  // that the link takes; 0: the next hop has not answered
        bool mtu_is_told;    // by a router on the way
    };
    // Empty: no link, or no port that leads there.
    std::optional<PathView> path_of(PeerId peer) const;

    // ---- events ----
    void on_neighbor(const Neighbors::Event& event, Time now);
    // Believed for a while when it quotes a datagram of a live session (W43). Without a receiver
    // index, when the link has a session that sent something just now; for a shorter while.
    void on_path_mtu(const PathMtuReport& report, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;

private:
    struct State {
        std::optional<LinkChoice> choice;
        std::shared_ptr<const Link> link;                    // null: the next hop never answered
        LinkId id = kNoLink;                                 // kNoLink: of stock peers
        unsigned nb_holders = 0;                             // of the id
        OuterFragments fragments = OuterFragments::allowed;  // to whom cannot answer probes
        std::set<PeerId> peers;                              // whose path it is
    };
    using Entry = std::map<LinkTarget, State>::value_type;
    // Why a link is chosen anew.
    enum class Cause : uint8_t {
        wanted,    // by a peer or by the mesh
        underlay,  // ports or next hops changed
    };
    struct Users {
        std::set<Entry*> entries;
        Time retry = kNever;
    };

    const UnderlayPort* port_of(PortId id) const;
    std::optional<LinkChoice> choice_for(const LinkTarget& target) const;
    Link make(const LinkChoice& choice, const LinkTarget& target, const MacAddress& next_hop,
              OuterFragments fragments) const;
    std::vector<NextHop> avoided_by(const LinkTarget& target) const;
    bool is_gateway(const NextHop& next_hop) const;
    void prefer_unmetered(const LinkTarget& target, const LinkChoice& choice, Time now);
    void choose(Entry& entry, Cause cause, Time now);
    void choose_all(Time now);
    std::optional<LinkTarget> target_of_initiation(const wireguard::SendMessage& message, Time now);
    void begin_trials(Time now);
    void address(Entry& entry, const MacAddress& next_hop);
    void publish(Entry& entry, std::shared_ptr<const Link> link);
    void show(PeerId peer, const State& state);
    void attach(Entry& entry, const LinkChoice& choice);
    void detach(Entry& entry);
    void retry_later(const NextHop& next_hop, Time now);
    void leave(PeerId peer);
    void dispatch(const LinkTarget& target, const wireguard::SendMessage& message, Time now);
    bool is_believed(const State& state, const PathMtuReport& report) const;
    void remeasure(const PathMtus::Path& path, Time now);

    Dataplane& dataplane_;
    Neighbors& neighbors_;
    std::vector<UnderlayPort> ports_;
    std::vector<uint16_t> listen_ports_;
    std::map<LinkTarget, State> links_;
    std::map<LinkId, Entry*> by_id_;
    std::map<PeerId, Entry*> by_peer_;  // null: waits
    std::map<NextHop, Users> users_;
    std::set<std::pair<Time, NextHop>> retries_;
    std::shared_ptr<const Link> unaddressed_;  // the stand-in; null: no wan port
    std::set<NextHop> silent_;                 // gateways that do not answer
    Failover failover_;
    std::vector<PeerId> trials_;
    PathMtus path_mtus_;
    HandshakeSender sender_;
};

}  // namespace meshgate::control
