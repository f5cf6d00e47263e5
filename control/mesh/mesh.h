// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "config/model.h"
#include "config/network.h"
#include "config/network_file.h"
#include "control/log/log.h"
#include "control/mesh/clients/client_underlay.h"
#include "control/mesh/clients/network_clients.h"
#include "control/mesh/clients/relayed_clients.h"
#include "control/mesh/members/channel.h"
#include "control/mesh/members/member_endpoints.h"
#include "control/mesh/members/member_peers.h"
#include "control/mesh/members/member_table.h"
#include "control/mesh/mesh_views.h"
#include "control/mesh/neighbor_exchange.h"
#include "control/mesh/paths/handshake_router.h"
#include "control/mesh/paths/member_paths.h"
#include "control/mesh/probing/candidate_search.h"
#include "control/mesh/probing/initiation_schedule.h"
#include "control/mesh/probing/link_prober.h"
#include "control/mesh/relays/dataplane_relay_entries.h"
#include "control/mesh/relays/relay_table.h"
#include "control/routing/rib.h"
#include "control/sessions/path_gate.h"
#include "control/underlay/links.h"
#include "control/wireguard/device.h"

namespace meshgate::mesh {

// What the mesh needs of the gateway; all outlive it.
struct MeshParts {
    Dataplane& dataplane;
    wireguard::Device& device;
    control::Links& links;
    Log& log;
    Clock clock;
    // Gives a peer's slot its name.
    std::function<void(PeerId, const std::string&)> set_name;
};

// The boxes of one signed network as this box sees them. Owns the parts and routes events to them;
// each part has its state to itself and says what is to be done, which settle() does. Control
// thread only; nothing here waits.
//
//   members/     who is in the network; what is said to each; the network file from box to box
//   probing/     which links there are, probed by Babel; NATs; handshakes that nobody asked for
//   relays/      forwarding by receiver index, ours and for others; handshakes hop by hop
//   paths/       which way each member's datagrams go, and its handshakes
//   clients/     stock devices that roam between boxes, or reach a box at a relay's address
//   protocol/    messages inside sessions
//   mesh_views.h what can be seen
class Mesh final : public control::PathGate, private LinkUser {
public:
    Mesh(MeshParts parts, const config::AuthorityKey& authority, const config::Model& box);

    // ---- the network file ----
    // Takes a network, verified and newer than the present one. Members that stay lose nothing.
    void apply(config::Network network, const config::SignedNetwork& file, const Now& now);
    // Network files that neighbours handed over: nothing of them is known to be true. Each is to be
    // applied, or refused.
    std::vector<FileCandidate> take_candidates() { return exchange_.files().take_candidates(); }
    void refuse(const FileCandidate& candidate, const std::string& why, const Now& now);
    // Members that went since the last call; member_peers.h.
    std::vector<PeerId> take_departed() { return peers_.take_departed(); }

    // ---- the box's side ----
    // After the ports of the links were set.
    void set_ports(const config::Model& box, const Now& now);
    // What a host name in endpoints of members stands for.
    void set_addresses(const std::string& host, const std::vector<IpAddress>& addresses,
                       const Now& now);
    // Prefixes of members and clients, to be routed to them.
    std::vector<control::PeerPrefixes> prefixes() const;
    // True once after a client moved: routes are to be made anew.
    bool take_routes_changed() { return !exchange_.roaming().take_changes().empty(); }

    // ---- events ----
    void receive(Packet packet, const Now& now);
    // A handshake message that is not for us by its mac1 or its index: may be for a member that
    // clients reach at our address.
    void on_handshake_for_another(std::span<const uint8_t> bytes, const wireguard::Addressing& from,
                                  const Now& now);
    // Handshake messages that other boxes forwarded, for the device.
    std::vector<HandshakeForwarder::Received> take_handshakes() {
        return handshakes_.take_received();
    }
    void tick(const Now& now);
    Time next_deadline() const;
    // Tells neighbours that we go; from here on nothing is decided any more. True when there is a
    // session: what is under way should be given some time to find other ways.
    bool shutdown(const Now& now);

    // ---- control::PathGate ----
    void send_handshake(const wireguard::RouteMessage& message, const Now& now) override;
    void on_keypair(const wireguard::InstallKeypair& keypair, const Now& now) override;
    void on_keypair_removed(PeerId peer, uint32_t local_index, const Now& now) override;
    bool may_send(PeerId peer, uint32_t local_index, const Now& now) override;
    std::vector<PeerId> take_released() override { return paths_.take_released(); }

    // ---- parts ----
    const MemberTable& members() const noexcept { return members_; }
    NetworkClients& clients() noexcept { return clients_; }
    const MeshViews& views() const noexcept { return views_; }
    uint64_t nb_alarms() const noexcept { return nb_alarms_; }

private:
    void add_member(const config::Member& info, const Now& now);
    void remove_member(const Member& member, const Now& now);
    void review_member(Member& member, const Now& now);
    void receive_message(const Packet& packet, Member& member, const Now& now);
    void on_babel_event(const babel::Event& event, const Now& now);
    void on_link_gone(LinkId link, Time now) override;  // LinkUser

    // Carries out what the parts decided; the last step of each event.
    void settle(const Now& now);
    void settle_routes(const Now& now);
    void send(const std::vector<Outgoing>& messages);
    void log(Log::Level level, std::string_view name, std::string_view subject, std::string text,
             const Now& now);

    MeshParts parts_;
    MemberTable members_;
    MemberPeers peers_;
    MemberEndpoints endpoints_;
    Channel channel_;
    PortTerms port_terms_;
    MemberLinks links_;
    LinkProber prober_;
    CandidateSearch candidates_;
    InitiationSchedule initiations_;
    MemberPaths paths_;
    DataplaneRelayEntries relay_entries_;
    RelayTable relays_;
    HandshakeRouter handshakes_;
    NeighborExchange exchange_;
    NetworkClients clients_;
    ClientUnderlay client_underlay_;
    RelayedClients relayed_clients_;
    MeshViews views_;
    Time next_review_{};
    uint64_t nb_alarms_ = 0;
    bool shut_down_ = false;
};

}  // namespace meshgate::mesh
