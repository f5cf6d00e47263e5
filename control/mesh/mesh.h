// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "config/model.h"
#include "config/network.h"
#include "config/network_file.h"
#include "control/api/views.h"
#include "control/log/log.h"
#include "control/mesh/clients/network_clients.h"
#include "control/mesh/clients/relayed_clients.h"
#include "control/mesh/members/channel.h"
#include "control/mesh/members/member_table.h"
#include "control/mesh/neighbor_exchange.h"
#include "control/mesh/paths/member_paths.h"
#include "control/mesh/probing/candidates.h"
#include "control/mesh/probing/initiation_schedule.h"
#include "control/mesh/probing/link_prober.h"
#include "control/mesh/relays/dataplane_relay_entries.h"
#include "control/mesh/relays/handshake_forwarder.h"
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
//   members/   who is in the network; the network file on its way from box to box
//   probing/   which links there are, probed by Babel; NATs; handshakes that nobody asked for
//   paths/     which way each member's datagrams go
//   relays/    forwarding by receiver index, ours and for others; handshakes hop by hop
//   clients/   stock devices that roam between boxes, or reach a box at a relay's address
//   protocol/  messages inside sessions
//   view.cc    what can be seen
class Mesh final : public control::PathGate, private LinkUser, private ClientLinks {
public:
    Mesh(MeshParts parts, const config::AuthorityKey& authority, const config::Model& box);
    ~Mesh() override;

    // ---- the network file ----
    // Takes a network, verified and newer than the present one. Members that stay lose nothing.
    void apply(config::Network network, const config::SignedNetwork& file, const Now& now);
    // Network files that neighbours handed over: nothing of them is known to be true. Each is to be
    // applied, or refused.
    std::vector<FileCandidate> take_candidates() { return exchange_.files().take_candidates(); }
    void refuse(const FileCandidate& candidate, const std::string& why, const Now& now);
    // Members that went since the last call. Their slots are to be given back after a snapshot
    // without their prefixes was published.
    std::vector<PeerId> take_departed() { return std::exchange(departed_, {}); }
    const config::Network& network() const noexcept { return network_; }
    const config::AuthorityKey& authority() const noexcept { return members_.authority(); }
    const IpAddress& node() const noexcept { return members_.node(); }

    // ---- the box's side ----
    // After the ports of the links were set.
    void set_ports(const config::Model& box, const Now& now);
    // Names in endpoints of members, to be looked up; and what came of it.
    std::set<std::string> hosts() const { return hosts_of(members_); }
    void set_addresses(const std::string& host, const std::vector<IpAddress>& addresses,
                       const Now& now);
    bool is_member(PeerId peer) const { return members_.of(peer) != nullptr; }
    // Prefixes of members, to be routed to them.
    std::vector<control::PeerPrefixes> prefixes() const;

    // ---- clients of the network file ----
    // Whether it may connect to this box.
    bool serves(const config::Client& client) const;
    NetworkClients& clients() noexcept { return clients_; }
    // The box where a client is; nothing when it is here, or nowhere.
    std::optional<PeerId> peer_of_client(const PublicKey& client) const;
    // True once after a client moved: routes are to be made anew.
    bool take_routes_changed() noexcept { return std::exchange(routes_changed_, false); }

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

    // ---- views: view.cc ----
    uint64_t nb_alarms() const noexcept { return nb_alarms_; }
    std::vector<control::ResultCount> events() const;
    // Each a sentence for the operator.
    std::vector<std::string> problems(const Now& now) const;
    std::vector<control::LinkView> link_views(const Now& now) const;
    std::vector<control::MeshPathView> path_views(const Now& now) const;
    std::optional<control::MeshPathView> path_of(PeerId peer, const Now& now) const;
    std::vector<control::MemberView> member_views(const Now& now) const;
    size_t nb_others() const noexcept { return members_.all().size(); }  // members but ourselves
    size_t nb_others_up() const;  // of them, those with a session and a path
    std::vector<control::RelayView> relay_views(const Now& now) const;
    std::optional<control::ExplainView> explain(const std::string& name, const Now& now) const;

private:
    void add_member(const config::Member& info, const Now& now);
    void remove_member(const Member& member, const Now& now);
    void apply_to_parts(const Now& now);
    void review(const Now& now);
    void review_member(Member& member, const Now& now);
    void receive_babel(const Packet& packet, const Member& member, const Now& now);
    void receive_message(const Packet& packet, Member& member, const Now& now);
    void exchange_candidates(Member& member, const Now& now);
    void send_candidates(Member& member, bool answer, const Now& now);

    // Carries out what the parts decided; the last step of each event.
    void settle(const Now& now);
    void settle_routes(const Now& now);
    void on_babel_event(const babel::Event& event, const Now& now);
    void choose_paths(const Now& now);
    void on_relay_change(const RelayChange& change, const Now& now);
    void send_to_clients(const Now& now);

    // LinkUser, ClientLinks
    void on_link_gone(LinkId link, Time now) override;
    LinkId open(const ClientAddress& client) override;
    void close(LinkId link) override { links_.remove(link); }

    control::SessionState session_state(const Member& member) const;
    control::MeshPathView path_view(const Member& member, const Now& now) const;
    void log(Log::Level level, std::string_view name, std::string_view subject, std::string text,
             const Now& now);

    MeshParts parts_;
    config::Network network_;
    MemberTable members_;
    control::Links& links_;
    Channel channel_;
    MemberEndpoints endpoints_;
    PortTerms port_terms_;
    MemberLinks member_links_;
    LinkProber prober_;
    CandidateExchange candidates_;
    InitiationSchedule initiations_;
    MemberPaths paths_;
    DataplaneRelayEntries relay_entries_;
    RelayTable relays_;
    HandshakeForwarder handshakes_;
    NeighborExchange exchange_;
    NetworkClients clients_;
    RelayedClients relayed_clients_;
    Time created_{};
    Time next_review_{};
    bool routes_changed_ = false;
    uint64_t nb_alarms_ = 0;
    std::vector<PeerId> departed_;
    bool shut_down_ = false;
};

}  // namespace meshgate::mesh
