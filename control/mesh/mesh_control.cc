// SPDX-License-Identifier: Apache-2.0
// What boxes say to each other besides Babel, inside their sessions.
#include <algorithm>
#include <variant>

#include "control/mesh/mesh.h"
#include "control/packets/udp.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

constexpr uint8_t kHopLimit = 64;
constexpr uint8_t kInitiation = 1;            // the first byte of the message
constexpr size_t kMaxQueuedHandshakes = 256;  // relayed handshakes that wait for the turn's budget
constexpr size_t kMaxStranded = 256;          // handshakes kept until a route to their box appears
constexpr auto kStrandedLife = 4s;            // and for how long
constexpr auto kSeenInterval = 20s;  // a box tells each neighbour the endpoint it sees it at
// Two boxes without a direct link tell each other where they may be reached: often at first, then
// seldom.
constexpr auto kFirstCandidates = 2s;
constexpr auto kLastCandidates = 60s;  // the slow interval
constexpr unsigned kOftenAtFirst = 5;  // rounds at the fast interval

}  // namespace

// ---- out ----

// By the path of the member, or by one of its links. False when there is no session that could.
bool Mesh::send(Member& member, const Message& message, LinkId link) {
    if (!has_session(member) || (link == kNoLink && !member.steering))
        return false;
    Packet packet = control::make_udp(parts_.dataplane,
                                      {.source = {node_, kMeshPort},
                                       .destination = {member.node, kMeshPort},
                                       .hop_limit = kHopLimit},
                                      encode(message));
    if (!packet)
        return false;
    seal(member, std::move(packet), link);
    return true;
}

// To a member whose way is ours to find. An answer goes back where the question came from, and that
// is not our business. With a path, that path; without one, everywhere at once: the first to arrive
// opens the session, and shows the way.
void Mesh::send_handshake(const wireguard::RouteMessage& message, const Now& now) {
    Member* member = member_at(message.to.address);
    if (member == nullptr)
        return;
    const Time time = now.mono;
    // Somebody wants it: what links there may be are needed, also where no relay introduces us.
    if (message.message.view().front() == kInitiation && !is_eager(*member))
        member->last_user = time;
    make_links(*member, time);
    const wireguard::SendMessage datagram{
        .peer = message.peer, .message = message.message, .to = {}};
    const auto view = parts_.device.peer_view(member->peer);
    const bool first_try = view && view->initiations_of_attempt <= 1;
    const bool direct = member->steering && member->steering->hop == member->node;
    if (member->has_session() && member->steering && !member->lost_at && first_try) {
        if (direct)
            return links_.send(member->steering->link, datagram, time);
        return send_by_mesh(*member, message.message, now);
    }
    for (const auto& [key, link] : member->links)
        links_.send(link.id, datagram, time);
    send_by_mesh(*member, message.message, now);
}

void Mesh::send_by_mesh(const Member& member, const wireguard::Message& message, const Now& now) {
    const auto bytes = message.view();
    forward_handshake({.from = node_,
                       .to = member.node,
                       .hops_left = kMaxHandshakeHops,
                       .bytes = {bytes.begin(), bytes.end()}},
                      now);
}

// Hop by hop: to a box that has a session with us and is nearer to the receiver. Where there is no
// way yet, the last message for each receiver waits for one: the sender repeats it only after 5 s.
void Mesh::forward_handshake(Handshake message, const Now& now) {
    const Member* target = member_at(message.to);
    if (target == nullptr || message.hops_left == 0)
        return;
    const auto way = best_way(*target);
    Member* hop = way ? member_at(way->hop) : nullptr;
    if (hop == nullptr) {
        if (stranded_.contains(message.to) || stranded_.size() < kMaxStranded)
            stranded_[IpAddress{message.to}] = {std::move(message), now.mono + kStrandedLife};
        return;
    }
    --message.hops_left;
    send(*hop, message, way->link);
}

void Mesh::send_stranded(const Member& target, const Now& now) {
    const auto found = stranded_.find(target.node);
    if (found == stranded_.end())
        return;
    Stranded stranded = std::move(found->second);
    stranded_.erase(found);
    if (stranded.expires > now.mono)
        forward_handshake(std::move(stranded.message), now);
}

void Mesh::tell_seen(Member& member, MemberLink& link, const Now& now) {
    if (now.mono < link.next_seen)
        return;
    if (send(member, Seen{links_.key_of(link.id).remote}, link.id))
        link.next_seen = now.mono + kSeenInterval;
}

// Where others say they see us, and our addresses on networks of our own.
std::vector<Endpoint> Mesh::own_candidates(Time now) const {
    std::vector<Endpoint> result;
    const auto add = [&result](const Endpoint& endpoint) {
        if (is_plausible(endpoint) && result.size() < kMaxCandidates &&
            std::ranges::find(result, endpoint) == result.end())
            result.push_back(endpoint);
    };
    for (const auto& [node, member] : members_) {
        for (const auto& [key, link] : member->links) {
            if (link.seen_as && link.heard && now - *link.heard < 60s)
                add(*link.seen_as);
        }
    }
    for (const UnderlayPort& port : links_.ports()) {
        for (const Prefix& address : port.addresses)
            add({address.address, links_.listen_port()});
    }
    return result;
}

void Mesh::tell_candidates(Member& member, bool answer, const Now& now) {
    send(member, Candidates{own_candidates(now.mono), answer});
}

// A member that is only reached by relays, and that somebody talks to: both ends try to reach each
// other, at about the same moment, so that NATs on both sides let the other's probes in.
void Mesh::look_for_direct(Member& member, const Now& now) {
    const Time time = now.mono;
    const bool relayed = member.steering && member.steering->hop != member.node;
    if (!relayed || !is_active(member, time)) {
        member.nb_candidate_rounds = 0;
        return;
    }
    if (time < member.next_candidates)
        return;
    const bool often = ++member.nb_candidate_rounds <= kOftenAtFirst;
    member.next_candidates = time + (often ? kFirstCandidates : kLastCandidates);
    tell_candidates(member, true, now);
}

// ---- in ----

void Mesh::receive_control(Packet& packet, Member& member, const Now& now) {
    const auto udp = control::parse_udp(packet.bytes());
    if (!udp || udp->destination != Endpoint{node_, kMeshPort} ||
        udp->source.address != member.node || !member.control_rate.take(now.mono)) {
        ++nb_undecodable_;
        return;
    }
    const auto message = decode(udp->payload);
    if (!message) {
        ++nb_undecodable_;
        return;
    }
    const LinkKey from{packet.info().port, packet.info().remote};
    std::visit([&](const auto& which) { on_message(member, which, from, now); }, *message);
}

void Mesh::on_message(Member&, const Handshake& message, const LinkKey&, const Now& now) {
    if (message.to != node_) {
        if (self_ && self_->relay && member_at(message.from) != nullptr)
            forward_handshake(message, now);
        return;
    }
    if (member_at(message.from) != nullptr && handshakes_.size() < kMaxQueuedHandshakes)
        handshakes_.push_back({.from = {message.from}, .bytes = message.bytes});
}

void Mesh::on_message(Member& member, const Seen& seen, const LinkKey& from, const Now&) {
    if (const auto link = member.links.find(from); link != member.links.end())
        link->second.seen_as = seen.endpoint;
}

void Mesh::on_message(Member& member, const Candidates& candidates, const LinkKey&,
                      const Now& now) {
    const Time time = now.mono;
    if (!member.candidate_rate.take(time))
        return;
    for (const Endpoint& endpoint : candidates.endpoints) {
        for (const UnderlayPort& port : links_.ports()) {
            MemberLink* link = add_link(member, {port.id, endpoint}, LinkOrigin::candidate, time);
            if (link == nullptr || link->heard)
                continue;
            // Greeted anew, and at once: the other end does the same now.
            set_probing(member, *link, false, time);
            set_probing(member, *link, true, time);
        }
    }
    settle_babel(now);
    if (candidates.answer)
        tell_candidates(member, false, now);
}

void Mesh::on_message(Member& member, const Probe& probe, const LinkKey&, const Now&) {
    send(member, ProbeReply{probe.id});
}

void Mesh::receive(Packet packet, const Now& now) {
    Member* member = member_of(packet.info().peer);
    if (member == nullptr) {
        ++nb_undecodable_;
        return;
    }
    ++member->control_rx;
    const auto bytes = packet.bytes();
    const bool babel = bytes.size() > 40 && bytes[8] == 0xfe;
    if (babel)
        receive_babel(packet, *member, now);
    else
        receive_control(packet, *member, now);
}

}  // namespace meshgate::mesh
