// SPDX-License-Identifier: Apache-2.0
// Events, and which parts they concern.
#include "control/mesh/mesh.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "control/packets/udp.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// How often each member is looked at: what no event says (traffic, silence) is noticed this late.
constexpr auto kReviewInterval = 100ms;
constexpr uint8_t kInitiation = 1;  // the first byte of the message

template <typename... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

Mesh::Mesh(MeshParts parts, const config::AuthorityKey& authority, const config::Model& box)
    : parts_{std::move(parts)},
      members_{authority, box.node.public_key},
      peers_{{.dataplane = parts_.dataplane,
              .device = parts_.device,
              .links = parts_.links,
              .set_name = parts_.set_name}},
      channel_{parts_.dataplane, members_.node()},
      links_{parts_.links, members_, endpoints_, *this},
      prober_{{.dataplane = parts_.dataplane,
               .underlay = parts_.links,
               .members = members_,
               .port_terms = port_terms_,
               .links = links_}},
      candidates_{
          {.underlay = parts_.links, .links = links_, .prober = prober_, .channel = channel_}},
      paths_{{.dataplane = parts_.dataplane,
              .device = parts_.device,
              .log = parts_.log,
              .members = members_,
              .links = parts_.links,
              .member_links = links_,
              .port_terms = port_terms_,
              .prober = prober_,
              .relays = relays_,
              .channel = channel_}},
      relay_entries_{parts_.dataplane},
      relays_{{.self = members_.node()}, paths_, relay_entries_},
      handshakes_{{.device = parts_.device,
                   .members = members_,
                   .underlay = parts_.links,
                   .links = links_,
                   .paths = paths_,
                   .channel = channel_}},
      exchange_{members_.node(), paths_},
      client_underlay_{parts_.links, parts_.clock},
      relayed_clients_{paths_, relay_entries_, client_underlay_},
      views_{{.dataplane = parts_.dataplane,
              .device = parts_.device,
              .underlay = parts_.links,
              .members = members_,
              .channel = channel_,
              .port_terms = port_terms_,
              .links = links_,
              .prober = prober_,
              .candidates = candidates_,
              .paths = paths_,
              .relays = relays_,
              .exchange = exchange_,
              .relayed_clients = relayed_clients_},
             parts_.clock().mono} {}

void Mesh::log(Log::Level level, std::string_view name, std::string_view subject, std::string text,
               const Now& now) {
    parts_.log.write({level, name, subject, std::move(text)}, now.mono);
}

// ---- sessions ----

void Mesh::send_handshake(const wireguard::RouteMessage& message, const Now& now) {
    Member* member = members_.at(message.to.address);
    if (member == nullptr)
        return;
    // Somebody wants it: what links there may be are needed, also where no relay introduces us.
    if (message.message.view().front() == kInitiation && !members_.is_eager(*member))
        member->traffic.on_wanted(now.mono);
    links_.make(*member, now.mono);
    handshakes_.send(*member, message, now.mono);
    settle(now);
}

void Mesh::on_keypair(const wireguard::InstallKeypair& keypair, const Now& now) {
    Member* member = members_.of(keypair.peer);
    if (member == nullptr) {
        const auto view = parts_.device.peer_view(keypair.peer);
        if (const auto client = clients_.on_keypair(keypair.peer); client && view)
            exchange_.roaming().here(*client, view->greatest_timestamp, now.mono);
        return settle(now);
    }
    member->keypairs[keypair.local_index] = keypair.remote_index;
    std::optional<LinkKey> link;
    if (const auto* from = std::get_if<wireguard::Addressing>(&keypair.from)) {
        link = LinkKey{from->port, from->remote};
        links_.add(*member, *link, LinkOrigin::heard, now.mono);
    }
    paths_.on_handshake(*member, link, now.mono);
    links_.make(*member, now.mono);
    relays_.open(keypair.remote_index, member->node, now.mono);
    // Somebody wanted it, here or there: worth a look for the best path.
    if (member->keypairs.size() == 1)
        member->traffic.on_wanted(now.mono);
    settle(now);
    paths_.update(*member, now);
}

void Mesh::on_keypair_removed(PeerId peer, uint32_t local_index, const Now& now) {
    Member* member = members_.of(peer);
    if (member == nullptr) {
        if (const auto client = clients_.on_keypair_removed(peer))
            exchange_.roaming().gone(*client, now.mono);
        return;
    }
    if (const auto keypair = member->keypairs.extract(local_index); !keypair.empty())
        relays_.close(keypair.mapped(), now.mono);
    if (member->keypairs.empty()) {
        paths_.on_session_gone(*member);
        prober_.stop_probing(*member, now.mono);
    }
    paths_.on_routes_changed();
}

bool Mesh::may_send(PeerId peer, uint32_t local_index, const Now& now) {
    Member* member = members_.of(peer);
    return member == nullptr || paths_.may_send(*member, local_index, now);
}

void Mesh::on_handshake_for_another(std::span<const uint8_t> bytes,
                                    const wireguard::Addressing& from, const Now& now) {
    const Member* sender = links_.member_of(parts_.links.id_of({from.port, from.remote}));
    relayed_clients_.receive(bytes, {.remote = from.remote, .local = from.local, .port = from.port},
                             sender == nullptr ? std::nullopt : std::optional{sender->node},
                             now.mono);
    settle(now);
}

// ---- packets ----

void Mesh::receive(Packet packet, const Now& now) {
    Member* member = members_.of(packet.info().peer);
    if (member == nullptr)
        return channel_.count_undecodable();
    member->traffic.on_control_received();
    const auto bytes = packet.bytes();
    const PacketInfo& info = packet.info();
    const bool babel = bytes.size() > 40 && bytes[8] == 0xfe;  // from a link-local address
    if (!babel)
        receive_message(packet, *member, now);
    else if (const auto udp = control::parse_udp(bytes); udp && info.remote.port != 0)
        prober_.receive(*member, {info.port, info.remote}, {udp->source, udp->destination},
                        udp->payload, now.mono);
    settle(now);
}

void Mesh::receive_message(const Packet& packet, Member& member, const Now& now) {
    const auto message = channel_.receive(packet, member, now.mono);
    if (!message)
        return;
    const Time time = now.mono;
    const LinkKey from{packet.info().port, packet.info().remote};
    std::visit(
        Overloaded{
            [&](const State& state) {
                member.network_version = state.network_version;
                exchange_.receive(member.node, state, time);
            },
            [&](const FileRequest& request) { exchange_.receive(member.node, request, time); },
            [&](const FilePiece& piece) { exchange_.receive(member.node, piece, time); },
            [&](const ClientAt& client) { exchange_.receive(member.node, client, time); },
            [&](const RelayOpen& open) { relays_.receive(member.node, open, time); },
            [&](const RelayReply& reply) { relays_.receive(member.node, reply, time); },
            [&](const RelayClose& close) { relays_.receive(member.node, close, time); },
            [&](const Handshake& handshake) { handshakes_.receive(handshake, time); },
            [&](const Seen& seen) { candidates_.receive(member, from, seen); },
            [&](const Candidates& said) { candidates_.receive(member, said, time); },
            [&](const Probe& probe) { channel_.send(member, ProbeReply{probe.id}); },
            [&](const ProbeReply& reply) { paths_.on_probe_reply(member, reply.id, time); },
        },
        *message);
}

// ---- time ----

void Mesh::tick(const Now& now) {
    const Time time = now.mono;
    if (shut_down_) {
        next_review_ = kNever;
        return;
    }
    if (time >= next_review_) {
        next_review_ = time + kReviewInterval;
        prober_.begin_round(time);
        exchange_.set_neighbors(prober_.members_up(), time);
        handshakes_.tick(time);
        initiations_.begin_round();
        paths_.tick(time);
        for (const auto& [node, member] : members_.all())
            review_member(*member, now);
    }
    prober_.tick(time);
    relays_.tick(time);
    exchange_.tick(time);
    relayed_clients_.tick(time);
    settle(now);
}

Time Mesh::next_deadline() const {
    if (shut_down_)
        return kNever;
    return std::min({next_review_, prober_.next_deadline(), relays_.next_deadline(),
                     exchange_.next_deadline(), relayed_clients_.next_deadline()});
}

void Mesh::review_member(Member& member, const Now& now) {
    const Time time = now.mono;
    const bool eager = members_.is_eager(member);
    if (member.has_session())
        member.traffic.update(parts_.dataplane.activity(member.peer), time);
    else if (eager)
        links_.make(member, time);
    links_.remove_stale(member, time);
    if (!member.has_session()) {
        using Peer = InitiationSchedule::Peer;
        const bool ours = member.info.relay || !members_.has_relays();
        if (eager && !links_.of(member).empty() &&
            initiations_.poll(member.node, ours ? Peer::relay : Peer::leaf, time))
            parts_.device.on_no_session(member.peer, now);
        return;
    }
    const bool probe = channel_.can_send(member) && (eager || MemberTable::is_active(member, time));
    prober_.review(member, probe, time);
    candidates_.review(member, time);
    paths_.review(member, now);
}

bool Mesh::shutdown(const Now& now) {
    if (shut_down_)
        return false;
    relays_.set_serving(false);
    prober_.shutdown();
    settle(now);
    shut_down_ = true;
    paths_.freeze();
    return std::ranges::any_of(members_.all(),
                               [](const auto& entry) { return entry.second->has_session(); });
}

// ---- what the parts decided ----

void Mesh::settle_routes(const Now& now) {
    for (const babel::Outgoing& packet : prober_.take_packets()) {
        Member* member = links_.member_of(packet.interface);
        if (member != nullptr && parts_.links.find(packet.interface) != nullptr)
            channel_.send_babel(*member, packet);
    }
    if (prober_.take_routes_changed())
        paths_.on_routes_changed();
    for (const babel::Event& event : prober_.take_events())
        on_babel_event(event, now);
    if (!paths_.is_stale())
        return;
    for (const IpAddress& target : paths_.take_rerouted()) {
        relays_.on_next_hop_changed(target, now.mono);
        relayed_clients_.on_next_hop_changed(target);
        handshakes_.on_route(target, now.mono);
    }
    paths_.update_all(now);
}

void Mesh::settle(const Now& now) {
    if (!shut_down_)
        settle_routes(now);
    send(relays_.take_messages());
    for (const RelayChange& change : relays_.take_changes()) {
        if (Member* member = members_.at(change.target))
            paths_.on_relay_change(*member, change, now);
    }
    handshakes_.settle();
    send(exchange_.take_messages(now.mono));
    for (const RelayedClientsDatagram& datagram : relayed_clients_.take_datagrams())
        client_underlay_.send(datagram, now.mono);
}

void Mesh::send(const std::vector<Outgoing>& messages) {
    for (const Outgoing& outgoing : messages) {
        if (Member* member = members_.at(outgoing.to))
            channel_.send(*member, outgoing.message);
    }
}

void Mesh::on_babel_event(const babel::Event& event, const Now& now) {
    using Kind = babel::Event::Kind;
    const LinkId link = event.neighbor.interface;
    const Member* member = links_.member_of(link);
    if (member == nullptr)
        return;
    const std::string& name = member->info.name;
    switch (event.kind) {
        case Kind::neighbor_up:
            prober_.on_link_up(link, now.mono);
            if (member->info.relay) {  // it may have restarted: what was agreed is void
                paths_.on_relay_restarted(member->node);
                relays_.recheck_next_hop(member->node, now.mono);
            }
            paths_.on_routes_changed();
            return log(Log::Level::info, "mesh-link-up", name,
                       port_terms_.describe(parts_.links.key_of(link)), now);
        case Kind::neighbor_down:
            prober_.suspect_shared_links(link, now.mono);
            // It may have restarted, and our session with it be worth nothing.
            if (member->info.relay && !prober_.members_up().contains(member->node))
                parts_.device.on_no_session(member->peer, now);
            paths_.on_routes_changed();
            return log(Log::Level::info, "mesh-link-down", name,
                       port_terms_.describe(parts_.links.key_of(link)), now);
        case Kind::neighbor_suspected:
            return prober_.suspect_shared_links(link, now.mono);
        case Kind::prefix_refused:
            ++nb_alarms_;
            return log(Log::Level::warning, "prefix-refused", name,
                       "announces " + to_string(event.prefix) +
                           ", which the network file does not give it",
                       now);
        case Kind::too_many_routes:
            ++nb_alarms_;
            return log(Log::Level::warning, "too-many-routes", name, "announces too much", now);
        case Kind::sender_refused:
            return;
    }
}

void Mesh::on_link_gone(LinkId link, Time now) {
    prober_.on_link_gone(link, now);
    relays_.on_link_gone(link, now);
    relayed_clients_.on_link_gone(link);
    paths_.on_link_gone(link);
    candidates_.forget_link(link);
}

}  // namespace meshgate::mesh
