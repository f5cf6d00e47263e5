// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "config/model.h"
#include "config/network.h"
#include "config/network_file.h"
#include "control/api/views.h"
#include "control/babel/speaker.h"
#include "control/log/log.h"
#include "control/mesh/clients/clients.h"
#include "control/mesh/clients/published.h"
#include "control/mesh/member.h"
#include "control/mesh/members/file_exchange.h"
#include "control/mesh/protocol/messages.h"
#include "control/mesh/relays/relays.h"
#include "control/routing/rib.h"
#include "control/sessions/path_gate.h"
#include "control/underlay/links.h"
#include "control/wireguard/device.h"

namespace meshgate::mesh {

using control::Log;

// What the mesh needs of the gateway; all outlive it.
struct MeshParts {
    Dataplane& dataplane;
    wireguard::Device& device;
    control::Links& links;
    Log& log;
    Clock clock;
    // A handshake message that is not ours to a stock client, from where it came in.
    std::function<void(const wireguard::SendMessage&, const Now&)> send_as_is;
    // Gives a peer's slot its name.
    std::function<void(PeerId, const std::string&)> set_name;
};

// The boxes of one signed network as this box sees them: brings up sessions, probes every link by
// Babel, decides how each member's datagrams travel, and asks relays to forward them. Control
// thread only; nothing here waits.
//
// mesh.cc (members, timers), mesh_babel.cc (links and the speaker), mesh_paths.cc (which way),
// mesh_relays.cc (relays), mesh_control.cc (messages between boxes), mesh_exchange.cc (the network
// file), mesh_clients.cc, mesh_view.cc (what can be seen).
class Mesh : public control::PathGate,
             private babel::Policy,
             private Ways,
             private Entries,
             private ClientLinks {
public:
    Mesh(MeshParts parts, const config::AuthorityKey& authority, const config::Model& box);
    ~Mesh() override;

    // Takes a network, verified and newer than the present one. Members that stay lose nothing.
    void apply(config::Network network, const config::SignedNetwork& file, const Now& now);
    // Network files that neighbours handed over: nothing of them is known to be true. Each is to be
    // applied, or refused.
    std::vector<FileCandidate> take_candidates() { return files_.take_candidates(); }
    void refuse(const FileCandidate& candidate, const std::string& why, const Now& now);
    // Members that went since the last call. Their slots are to be given back after a snapshot
    // without their prefixes was published.
    std::vector<PeerId> take_departed() { return std::exchange(departed_, {}); }
    const config::Network& network() const noexcept { return network_; }

    // Names in endpoints of members, to be looked up; and what came of it.
    std::set<std::string> hosts() const;
    void set_addresses(const std::string& host, const std::vector<IpAddress>& addresses,
                       const Now& now);

    // The box's side.
    // After the ports of the links were set.
    void set_ports(const config::Model& box, const Now& now);
    bool is_member(PeerId peer) const { return by_peer_.contains(peer); }
    // Prefixes of members, to be routed to them; and our own node address.
    std::vector<control::PeerPrefixes> prefixes() const;
    // Whether a client of the network file may connect to this box.
    bool serves(const config::Client& client) const;
    // A client of the network file that may connect here has this slot; or has it no longer.
    void add_client(PeerId peer, const PublicKey& key) { client_peers_[peer] = {key, 0}; }
    void remove_client(PeerId peer) { client_peers_.erase(peer); }
    // The box where a client is; nothing when it is here, or nowhere.
    std::optional<PeerId> peer_of_client(const PublicKey& client) const;
    // True once after a client moved: routes are to be made anew.
    bool take_routes_changed() noexcept { return std::exchange(routes_changed_, false); }
    uint64_t nb_alarms() const noexcept { return nb_alarms_; }
    const IpAddress& node() const noexcept { return node_; }
    const config::AuthorityKey& authority() const noexcept { return authority_; }

    // Events
    void receive(Packet packet, const Now& now);
    // A handshake message that is not for us by its mac1 or its index: may be for a member that
    // clients reach at our address.
    void on_handshake_for_another(std::span<const uint8_t> bytes, const wireguard::Addressing& from,
                                  const Now& now);
    void tick(const Now& now);
    Time next_deadline() const;
    // Handshake messages that other boxes forwarded, for the device.
    struct ForwardedHandshake {
        wireguard::NodeAddress from;
        std::vector<uint8_t> bytes;
    };
    std::vector<ForwardedHandshake> take_handshakes() { return std::exchange(handshakes_, {}); }
    // Tells neighbours that we go; from here on nothing is decided any more. True when there is a
    // session: what is under way should be given some time to find other ways.
    bool shutdown(const Now& now);

    // ---- views ----
    std::vector<control::ResultCount> events() const;
    // Each a sentence for the operator.
    std::vector<std::string> problems(const Now& now) const;
    std::vector<control::LinkView> link_views(const Now& now) const;
    std::vector<control::MeshPathView> path_views(const Now& now) const;
    std::optional<control::MeshPathView> path_of(PeerId peer, const Now& now) const;
    std::vector<control::MemberView> member_views(const Now& now) const;
    std::vector<control::RelayView> relay_views(const Now& now) const;
    std::optional<control::ExplainView> explain(const std::string& name, const Now& now) const;

    // control::PathGate
    void send_handshake(const wireguard::RouteMessage& message, const Now& now) override;
    void on_keypair(const wireguard::InstallKeypair& keypair, const Now& now) override;
    void on_keypair_removed(PeerId peer, uint32_t local_index, const Now& now) override;
    bool may_send(PeerId peer, uint32_t local_index, const Now& now) override;
    std::vector<PeerId> take_released() override { return std::exchange(released_, {}); }

private:
    // mesh.cc
    void tell_clients(Time now);
    void add_member(const config::Member& info, const Now& now);
    void remove_member(Member& member, const Now& now);
    void review(const Now& now);
    void review_member(Member& member, const Now& now);
    void watch_traffic(Member& member, Time now);
    bool greets(Member& member, Time now);
    bool is_active(const Member& member, Time now) const;
    bool is_eager(const Member& member) const;
    bool has_session(const Member& member) const;
    control::SessionState session_state(const Member& member) const;
    control::MeshPathView path_view(const Member& member, const Now& now) const;
    Member* member_at(const IpAddress& node);
    Member* member_of(PeerId peer);
    Member* member_of_link(LinkId id);
    void log(Log::Level level, std::string_view name, std::string_view subject, std::string text,
             const Now& now);

    // mesh_babel.cc
    bool may_announce(const babel::NeighborId& neighbor, const Prefix& prefix) const override;
    bool may_export(babel::InterfaceId interface, const Prefix& prefix, bool own) const override;
    std::vector<Endpoint> endpoints_of(const Member& member) const;
    void make_links(Member& member, Time now);
    MemberLink* add_link(Member& member, const LinkKey& key, LinkOrigin origin, Time now);
    void remove_link(Member& member, const LinkKey& key, Time now);
    void remove_stale_links(Member& member, Time now);
    void set_probing(Member& member, MemberLink& link, bool on, Time now);
    void set_intervals(Member& member, Time now);
    void receive_babel(Packet& packet, Member& member, const Now& now);
    void settle_babel(const Now& now);
    void send_babel(const babel::Outgoing& packet);
    babel::Announce announce_to(const Member& member) const;
    void find_used_links(Time now);
    void on_link_up(LinkId id, Time now);
    void doubt_links_beside(LinkId id, Time now);
    bool neighbor_is_up(const IpAddress& node) const;
    void seal(Member& member, Packet packet, LinkId link);
    std::string describe(const LinkKey& key) const;  // "wan0 -> 192.0.2.1:51820"
    babel::CostOptions cost_of(const LinkKey& key) const;

    // mesh_paths.cc
    enum class Suspects : uint8_t { avoided, taken };
    std::optional<Steering> best_way(const Member& member) const;
    std::optional<Steering> best_way(const Member& member, Suspects suspects) const;
    void insist(Member& member);
    bool exists(const Member& member, const Steering& way) const;
    void steer_all(const Now& now);
    void steer(Member& member, const Now& now);
    void take_way(Member& member, const Steering& way, const Now& now);
    void lose_way(Member& member, const Now& now);
    uint32_t sending_local(const Member& member) const;
    bool is_ready(const Member& member, const Steering& way) const;
    bool may_use(const Member& member, uint32_t local_index) const;

    // mesh_relays.cc
    bool leg_ready(uint32_t remote_index, const Steering& way) const;
    std::optional<Way> way_to(const IpAddress& target) const override;
    bool install(uint32_t index, LinkId link) override;
    void move(uint32_t index, LinkId link) override;
    void remove(uint32_t index) override;
    void settle_relays(const Now& now);
    void on_refused(Member& member, RelayAnswer answer, const Now& now);
    void recheck_legs(const Member& member, const Now& now);
    void on_way_changed(Member& member, const Now& now);
    void suspect(Member& member, const IpAddress& relay, Time until, const char* why,
                 const Now& now);
    void on_relay_back(const Member& relay, const Now& now);
    void forgive(Member& member, Time now);
    void probe_path(Member& member, const Now& now);

    // mesh_sounding.cc
    void forget_sounding(Member& member);
    void sound_path(Member& member, bool answered, const Now& now);
    void send_sounding(Member& member, uint16_t mtu_bytes);
    bool on_sounded(Member& member, const ProbeReply& reply);
    void conclude_sounding(Member& member, uint16_t most, const Now& now);

    // mesh_published.cc
    LinkId open(const ClientAddress& client) override;
    void close(LinkId link) override;
    void set_published();
    void settle_published(const Now& now);

    // mesh_exchange.cc, mesh_clients.cc
    void set_neighbors(std::set<IpAddress> neighbors, Time now);
    void greet(const Member& member, Time now);
    void settle_exchanges(const Now& now);
    void on_client_keypair(PeerId peer, const Now& now);
    void on_client_keypair_removed(PeerId peer, Time now);

    // mesh_control.cc
    void receive_control(Packet& packet, Member& member, const Now& now);
    bool send(Member& member, const Message& message, LinkId link = kNoLink);
    void send_by_mesh(const Member& member, const wireguard::Message& message, const Now& now);
    void forward_handshake(Handshake message, const Now& now);
    void send_stranded(const Member& target, const Now& now);
    void tell_seen(Member& member, MemberLink& link, const Now& now);
    std::vector<Endpoint> own_candidates(Time now) const;
    void tell_candidates(Member& member, bool answer, const Now& now);
    void look_for_direct(Member& member, const Now& now);
    void on_message(Member& member, const State& state, const LinkKey& from, const Now& now);
    void on_message(Member& member, const Handshake& message, const LinkKey& from, const Now& now);
    void on_message(Member& member, const FileRequest& request, const LinkKey&, const Now& now);
    void on_message(Member& member, const FilePiece& piece, const LinkKey&, const Now& now);
    void on_message(Member& member, const ClientAt& said, const LinkKey&, const Now& now);
    void on_message(Member& member, const Seen& seen, const LinkKey& from, const Now& now);
    void on_message(Member& member, const Candidates& candidates, const LinkKey& from,
                    const Now& now);
    void on_message(Member& member, const Probe& probe, const LinkKey& from, const Now& now);
    void on_message(Member& member, const ProbeReply& reply, const LinkKey& from, const Now& now);
    void on_message(Member& member, const RelayOpen& open, const LinkKey& from, const Now& now);
    void on_message(Member& member, const RelayReply& reply, const LinkKey& from, const Now& now);
    void on_message(Member& member, const RelayClose& close, const LinkKey& from, const Now& now);

    MeshParts parts_;
    config::AuthorityKey authority_;
    PublicKey public_key_;
    IpAddress node_;
    IpAddress link_local_;
    Prefix node_prefix_;
    config::Network network_;
    std::optional<config::Member> self_;
    struct PortTerms {
        std::string name;
        uint16_t cost_bias = 0;
        bool metered = false;
    };
    std::map<PortId, PortTerms> port_terms_;
    std::set<LinkId> used_links_;     // by users' packets, from here or relayed
    std::set<LinkId> fast_for_them_;  // that the other end uses
    control::Links& links_;
    babel::Speaker speaker_;
    Relays relays_;
    FileExchange files_;
    Clients clients_;
    Published published_;
    struct ClientPeer {
        PublicKey key;
        unsigned nb_keypairs = 0;
    };
    std::map<PeerId, ClientPeer> client_peers_;
    std::map<std::string, std::vector<IpAddress>> addresses_;  // by host name
    std::set<IpAddress> neighbors_;                            // members with a link that is up
    bool routes_changed_ = false;
    std::map<IpAddress, std::unique_ptr<Member>> members_;
    std::unordered_map<PeerId, Member*> by_peer_;
    std::unordered_map<LinkId, Member*> by_link_;
    std::vector<ForwardedHandshake> handshakes_;
    struct Stranded {
        Handshake message;
        Time expires{};
    };
    std::map<IpAddress, Stranded> stranded_;  // by receiver
    Time created_{};
    Time next_review_{};
    bool steering_due_ = false;
    bool has_relays_ = false;    // the network
    unsigned nb_greetings_ = 0;  // in this review
    uint64_t nb_alarms_ = 0;
    uint64_t nb_undecodable_ = 0;
    std::vector<PeerId> departed_;
    std::vector<PeerId> released_;
    bool shut_down_ = false;
};

}  // namespace meshgate::mesh
