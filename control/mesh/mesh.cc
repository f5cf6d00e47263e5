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
// A link by which the member was heard so lately works: the member is told where we see it.
constexpr auto kHeardLately = 5s;
// What others say of where they see us holds while their link works.
constexpr auto kSeenLife = 60s;
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
      links_{parts_.links},
      channel_{parts_.dataplane, members_.node()},
      member_links_{links_, members_, endpoints_, *this},
      prober_{{.dataplane = parts_.dataplane,
               .underlay = links_,
               .members = members_,
               .port_terms = port_terms_,
               .links = member_links_}},
      paths_{{.dataplane = parts_.dataplane,
              .device = parts_.device,
              .log = parts_.log,
              .members = members_,
              .links = links_,
              .member_links = member_links_,
              .port_terms = port_terms_,
              .prober = prober_,
              .relays = relays_,
              .channel = channel_}},
      relay_entries_{parts_.dataplane},
      relays_{{.self = members_.node()}, paths_, relay_entries_},
      handshakes_{members_.node(), paths_},
      exchange_{members_.node(), paths_},
      relayed_clients_{paths_, relay_entries_, *this},
      created_{parts_.clock().mono} {}

Mesh::~Mesh() {
    for (const auto& [node, member] : members_.all())
        links_.refuse(member->peer);
}

void Mesh::log(Log::Level level, std::string_view name, std::string_view subject, std::string text,
               const Now& now) {
    parts_.log.write({level, name, subject, std::move(text)}, now.mono);
}

// ---- sessions ----

// An answer goes back where the question came from, and that is not our business. With a path, that
// path; without one, everywhere at once: the first to arrive opens the session, and shows the way.
void Mesh::send_handshake(const wireguard::RouteMessage& message, const Now& now) {
    Member* member = members_.at(message.to.address);
    if (member == nullptr)
        return;
    const auto bytes = message.message.view();
    // Somebody wants it: what links there may be are needed, also where no relay introduces us.
    if (bytes.front() == kInitiation && !members_.is_eager(*member))
        member->traffic.on_wanted(now.mono);
    member_links_.make(*member, now.mono);
    const auto view = parts_.device.peer_view(member->peer);
    const bool first_try = view && view->initiations_of_attempt <= 1;
    const bool by_path =
        member->has_session() && member->path && !paths_.is_failing(*member) && first_try;
    const wireguard::SendMessage datagram{
        .peer = message.peer, .message = message.message, .to = {}};
    for (const auto& [key, link] : member_links_.of(*member)) {
        if (!by_path || link.id == member->path->via.link)
            links_.send(link.id, datagram, now.mono);
    }
    if (!by_path || member->is_relayed())
        handshakes_.send(member->node, bytes, now.mono);
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
        member_links_.add(*member, *link, LinkOrigin::heard, now.mono);
    }
    paths_.on_handshake(*member, link, now.mono);
    member_links_.make(*member, now.mono);
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
    const Member* sender = member_links_.member_of(links_.id_of({from.port, from.remote}));
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
    const bool babel = bytes.size() > 40 && bytes[8] == 0xfe;  // from a link-local address
    if (babel)
        receive_babel(packet, *member, now);
    else
        receive_message(packet, *member, now);
    settle(now);
}

void Mesh::receive_babel(const Packet& packet, const Member& member, const Now& now) {
    const PacketInfo& info = packet.info();
    const auto udp = control::parse_udp(packet.bytes());
    if (udp && info.remote.port != 0)
        prober_.receive(member, {info.port, info.remote}, {udp->source, udp->destination},
                        udp->payload, now.mono);
}

void Mesh::receive_message(const Packet& packet, Member& member, const Now& now) {
    const auto message = channel_.receive(packet, member, now.mono);
    if (!message)
        return;
    const Time time = now.mono;
    const LinkKey from{packet.info().port, packet.info().remote};
    const auto is_known = [this](const IpAddress& node) {
        return node == members_.node() || members_.at(node) != nullptr;
    };
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
            [&](const Handshake& handshake) {
                using Role = HandshakeForwarder::Role;
                if (members_.at(handshake.from) != nullptr && is_known(handshake.to))
                    handshakes_.receive(handshake, members_.is_relay() ? Role::relay : Role::leaf,
                                        time);
            },
            [&](const Seen& seen) {
                const auto& links = member_links_.of(member);
                if (const auto link = links.find(from); link != links.end())
                    candidates_.on_seen(link->second.id, seen.endpoint);
            },
            [&](const Candidates& said) {
                if (!candidates_.accepts(member.node, time))
                    return;
                prober_.probe_candidates(member, said.endpoints, time);
                if (said.answer)
                    send_candidates(member, false, now);
            },
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
        review(now);
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

void Mesh::review(const Now& now) {
    prober_.begin_round(now.mono);
    exchange_.set_neighbors(prober_.members_up(), now.mono);
    handshakes_.tick(now.mono);
    initiations_.begin_round();
    paths_.tick(now.mono);
    for (const auto& [node, member] : members_.all())
        review_member(*member, now);
}

void Mesh::review_member(Member& member, const Now& now) {
    const Time time = now.mono;
    const bool eager = members_.is_eager(member);
    if (member.has_session())
        member.traffic.update(parts_.dataplane.activity(member.peer), time);
    else if (eager)
        member_links_.make(member, time);
    member_links_.remove_stale(member, time);
    if (!member.has_session()) {
        using Peer = InitiationSchedule::Peer;
        const bool ours = member.info.relay || !members_.has_relays();
        if (eager && !member_links_.of(member).empty() &&
            initiations_.poll(member.node, ours ? Peer::relay : Peer::leaf, time))
            parts_.device.on_no_session(member.peer, now);
        return;
    }
    const bool probe = channel_.can_send(member) && (eager || MemberTable::is_active(member, time));
    prober_.review(member, probe, time);
    exchange_candidates(member, now);
    paths_.review(member, now);
}

// Tells the member where we see it, and how else we may be reached.
void Mesh::exchange_candidates(Member& member, const Now& now) {
    for (const auto& [key, link] : member_links_.of(member)) {
        if (link.heard && now.mono - *link.heard < kHeardLately &&
            candidates_.is_report_due(link.id, now.mono) &&
            channel_.send(member, Seen{key.remote}, link.id))
            candidates_.on_reported(link.id, now.mono);
    }
    if (!member.is_relayed() || !MemberTable::is_active(member, now.mono))
        candidates_.stop(member.node);
    else if (candidates_.poll(member.node, now.mono))
        send_candidates(member, true, now);
}

void Mesh::send_candidates(Member& member, bool answer, const Now& now) {
    std::vector<Endpoint> local;
    for (const UnderlayPort& port : links_.ports()) {
        for (const Prefix& address : port.addresses)
            local.push_back({address.address, links_.listen_port()});
    }
    const auto heard = member_links_.heard_since(now.mono - kSeenLife);
    channel_.send(member, Candidates{candidates_.own(heard, local), answer});
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
        Member* member = member_links_.member_of(packet.interface);
        if (member != nullptr && links_.find(packet.interface) != nullptr)
            channel_.send_babel(*member, packet);
    }
    if (prober_.take_routes_changed())
        paths_.on_routes_changed();
    for (const babel::Event& event : prober_.take_events())
        on_babel_event(event, now);
    if (paths_.is_stale())
        choose_paths(now);
}

void Mesh::settle(const Now& now) {
    if (!shut_down_)
        settle_routes(now);
    for (const Outgoing& outgoing : relays_.take_messages()) {
        if (Member* member = members_.at(outgoing.to))
            channel_.send(*member, outgoing.message);
    }
    for (const RelayChange& change : relays_.take_changes())
        on_relay_change(change, now);
    for (HandshakeForwarder::Outgoing& outgoing : handshakes_.take_messages()) {
        if (Member* hop = members_.at(outgoing.via.node))
            channel_.send(*hop, std::move(outgoing.message), outgoing.via.link);
    }
    for (const Outgoing& outgoing : exchange_.take_messages(now.mono)) {
        if (Member* member = members_.at(outgoing.to))
            channel_.send(*member, outgoing.message);
    }
    if (!exchange_.roaming().take_changes().empty())
        routes_changed_ = true;
    send_to_clients(now);
}

void Mesh::on_babel_event(const babel::Event& event, const Now& now) {
    using Kind = babel::Event::Kind;
    const LinkId link = event.neighbor.interface;
    const Member* member = member_links_.member_of(link);
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
                       port_terms_.describe(links_.key_of(link)), now);
        case Kind::neighbor_down:
            prober_.suspect_shared_links(link, now.mono);
            // It may have restarted, and our session with it be worth nothing.
            if (member->info.relay && !prober_.members_up().contains(member->node))
                parts_.device.on_no_session(member->peer, now);
            paths_.on_routes_changed();
            return log(Log::Level::info, "mesh-link-down", name,
                       port_terms_.describe(links_.key_of(link)), now);
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

void Mesh::choose_paths(const Now& now) {
    for (const IpAddress& target : paths_.take_rerouted()) {
        relays_.on_next_hop_changed(target, now.mono);
        relayed_clients_.on_next_hop_changed(target);
        handshakes_.on_route(target, now.mono);
    }
    paths_.update_all(now);
}

void Mesh::on_relay_change(const RelayChange& change, const Now& now) {
    Member* member = members_.at(change.target);
    if (member == nullptr)
        return;
    if (change.kind == RelayChange::Kind::refused)
        paths_.on_relay_refused(*member, change, now);
    else
        paths_.update(*member, now);
}

// ---- links, for the parts ----

void Mesh::on_link_gone(LinkId link, Time now) {
    prober_.on_link_gone(link, now);
    relays_.on_link_gone(link, now);
    relayed_clients_.on_link_gone(link);
    paths_.on_link_gone(link);
    candidates_.forget_link(link);
}

LinkId Mesh::open(const ClientAddress& client) {
    return links_.add({client.port, client.remote}, parts_.clock().mono);
}

void Mesh::send_to_clients(const Now& now) {
    for (const RelayedClientsDatagram& datagram : relayed_clients_.take_datagrams()) {
        wireguard::SendMessage message;
        message.message.len = std::min(datagram.bytes.size(), wireguard::Message::kMaxLen);
        std::copy_n(datagram.bytes.begin(), message.message.len, message.message.bytes.begin());
        message.to = {.remote = datagram.client.remote,
                      .local = datagram.client.local,
                      .port = datagram.client.port};
        if (datagram.link)
            links_.send(*datagram.link, message, now.mono);
        else
            links_.send(message, now.mono);
    }
}

}  // namespace meshgate::mesh
