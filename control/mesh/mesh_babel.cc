// SPDX-License-Identifier: Apache-2.0
// Links, and the Babel speaker that probes them: an interface a link.
#include <algorithm>

#include "control/mesh/mesh.h"
#include "control/packets/udp.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;
using Duration = Time::duration;

constexpr Duration kProbeInUse = 200ms;  // between Hellos on a link that carries traffic
// A link that only the other end uses: its probes are what the other end watches. Not the same
// interval, or two ends would keep each other awake.
constexpr Duration kProbeForThem = 210ms;
constexpr Duration kProbeIdle = 2s;     // between Hellos on a link that is a standby
constexpr Duration kProbeSilent = 10s;  // between Hellos where nobody answers
constexpr Duration kFresh = 3s;         // a new link is probed at the fast interval for so long
constexpr Duration kBack =
    10s;  // the same for a link that came back: its old losses must be outweighed
constexpr Duration kSilentAfter = 15s;         // unanswered for so long: the slowest interval
constexpr Duration kSilentAfterEager = 10min;  // the same for a box that looks for relays
constexpr Duration kQuiet = 5s;      // a link that was silent for longer has to prove itself again
constexpr Duration kInUseFor = 10s;  // a link counts as in use for so long after the last packet
constexpr Duration kLinkLife =
    90s;  // a link that is in no file is forgotten after so long in silence
constexpr size_t kMaxLinksPerMember = 32;  // wan ports times endpoints

}  // namespace

// ---- what may be announced ----

// A member speaks for itself; a relay also for other members, whom it forwards to.
bool Mesh::may_announce(const babel::NeighborId& neighbor, const Prefix& prefix) const {
    const auto found = by_link_.find(neighbor.interface);
    if (found == by_link_.end())
        return false;
    const Member& member = *found->second;
    if (prefix == Prefix{member.node, 128})
        return true;
    if (!member.info.relay)
        return false;
    if (prefix == node_prefix_)
        return true;
    return prefix.len == 128 && (members_.contains(prefix.address) || prefix.address == node_);
}

bool Mesh::may_export(babel::InterfaceId, const Prefix&, bool) const {
    return true;
}

babel::CostOptions Mesh::cost_of(const LinkKey& key) const {
    babel::CostOptions cost = babel::CostOptions::tunnel();
    if (const auto found = port_terms_.find(key.port); found != port_terms_.end()) {
        cost.bias = found->second.cost_bias;
        cost.metered = found->second.metered;
    }
    return cost;
}

// ---- links ----

void Mesh::make_links(Member& member, Time now) {
    if (!self_ || !(is_eager(member) || member.has_session() || is_active(member, now)))
        return;
    for (const Endpoint& endpoint : endpoints_of(member)) {
        for (const UnderlayPort& port : links_.ports())
            add_link(member, {port.id, endpoint}, LinkOrigin::network_file, now);
    }
}

// Of the network file, names as far as they are known.
std::vector<Endpoint> Mesh::endpoints_of(const Member& member) const {
    std::vector<Endpoint> result;
    for (const config::MemberEndpoint& endpoint : member.info.endpoints) {
        if (endpoint.literal)
            result.push_back(*endpoint.literal);
        const auto found = addresses_.find(endpoint.host);
        if (endpoint.literal || found == addresses_.end())
            continue;
        for (const IpAddress& address : found->second)
            result.push_back({address, endpoint.port});
    }
    return result;
}

MemberLink* Mesh::add_link(Member& member, const LinkKey& key, LinkOrigin origin, Time now) {
    if (const auto found = member.links.find(key); found != member.links.end())
        return &found->second;
    if (member.links.size() >= kMaxLinksPerMember || !links_.has_way(key))
        return nullptr;
    const LinkId id = links_.add(key, now);
    if (id == kNoLink)
        return nullptr;
    // One endpoint is one box: what another member has is not this one's. Unless it only says so:
    // or it could keep the others from being reached.
    if (const auto holder = by_link_.find(id); holder != by_link_.end()) {
        const MemberLink& theirs = holder->second->links.at(key);
        if (theirs.heard || theirs.origin != LinkOrigin::candidate ||
            origin == LinkOrigin::candidate) {
            links_.remove(id);
            return nullptr;
        }
        remove_link(*holder->second, key, now);
    }
    by_link_[id] = &member;
    MemberLink& link = member.links[key];
    link.id = id;
    link.origin = origin;
    link.added = now;
    return &link;
}

void Mesh::remove_link(Member& member, const LinkKey& key, Time now) {
    const auto found = member.links.find(key);
    if (found == member.links.end())
        return;
    set_probing(member, found->second, false, now);
    relays_.on_link_gone(found->second.id, now);
    published_.on_link_gone(found->second.id);
    by_link_.erase(found->second.id);
    // Also who is reached over this member, as a relay.
    for (auto& [node, other] : members_) {
        if (other->steering && other->steering->link == found->second.id)
            other->steering.reset();
    }
    links_.remove(found->second.id);
    member.links.erase(found);
    steering_due_ = true;
}

// Links that nobody vouches for any more: not in the network file, and long silent; or the port
// has no way there.
void Mesh::remove_stale_links(Member& member, Time now) {
    std::vector<LinkKey> stale;
    const std::vector<Endpoint> in_file = endpoints_of(member);
    for (const auto& [key, link] : member.links) {
        const bool silent = now - link.heard.value_or(link.added) > kLinkLife;
        const bool unwanted = !is_eager(member) && !member.has_session() && !is_active(member, now);
        const bool is_path = member.steering && member.steering->link == link.id;
        if (is_path && links_.has_way(key))
            continue;
        if (!links_.has_way(key) || unwanted ||
            (silent && std::ranges::count(in_file, key.remote) == 0))
            stale.push_back(key);
    }
    for (const LinkKey& key : stale)
        remove_link(member, key, now);
}

babel::Announce Mesh::announce_to(const Member& member) const {
    if (!self_ || !self_->relay)
        return babel::Announce::own_only;
    return member.info.relay ? babel::Announce::everything : babel::Announce::aggregates;
}

void Mesh::set_probing(Member& member, MemberLink& link, bool on, Time now) {
    if (link.probed == on)
        return;
    link.probed = on;
    if (!on) {
        speaker_.remove_interface(link.id, now);
        steering_due_ = true;
        return;
    }
    auto options =
        babel::InterfaceOptions::tunnel(link_local_, member.link_local, announce_to(member));
    options.cost = cost_of(links_.key_of(link.id));
    options.hello_interval = kProbeInUse;
    link.interval = kProbeInUse;
    link.added = now;
    link.fresh_until = now + kFresh;
    speaker_.add_interface(link.id, options, {}, now);
}

void Mesh::set_intervals(Member& member, Time now) {
    const Duration patience = is_eager(member) ? kSilentAfterEager : kSilentAfter;
    for (auto& [key, link] : member.links) {
        if (!link.probed)
            continue;
        Duration wanted = kProbeIdle;
        if (used_links_.contains(link.id) || now < link.fresh_until)
            wanted = kProbeInUse;
        else if (fast_for_them_.contains(link.id))
            wanted = kProbeForThem;
        else if (now - link.heard.value_or(link.added) > patience)
            wanted = kProbeSilent;
        if (wanted == link.interval)
            continue;
        link.interval = wanted;
        speaker_.set_hello_interval(link.id, wanted, now);
    }
}

// Links that carry users' packets: to where they go now, and those relayed.
void Mesh::find_used_links(Time now) {
    fast_for_them_.clear();
    std::set<IpAddress> up;
    for (const babel::NeighborView& neighbor : speaker_.neighbors()) {
        if (const auto member = by_link_.find(neighbor.id.interface);
            neighbor.up && member != by_link_.end())
            up.insert(member->second->node);
        if (neighbor.hello_interval > Duration{} && neighbor.hello_interval < kProbeForThem)
            fast_for_them_.insert(neighbor.id.interface);
    }
    set_neighbors(std::move(up), now);
    used_links_.clear();
    for (const auto& [node, member] : members_) {
        if (member->steering && member->last_user && now - *member->last_user < kInUseFor)
            used_links_.insert(member->steering->link);
        for (auto& [key, link] : member->links) {
            const uint64_t nb_relayed = parts_.dataplane.link_activity(link.id).relayed_packets;
            if (nb_relayed != std::exchange(link.nb_relayed, nb_relayed))
                link.relayed_at = now;
            if (link.relayed_at && now - *link.relayed_at < kInUseFor)
                used_links_.insert(link.id);
        }
    }
}

// ---- packets ----

void Mesh::receive_babel(Packet& packet, Member& member, const Now& now) {
    const PacketInfo& info = packet.info();
    const auto udp = control::parse_udp(packet.bytes());
    if (!udp || info.remote.port == 0)
        return;
    MemberLink* link = add_link(member, {info.port, info.remote}, LinkOrigin::heard, now.mono);
    if (link == nullptr)
        return;
    // After a silence it has to prove itself, and fast: others may have no other way.
    if (!link->heard || now.mono - *link->heard > kQuiet)
        link->fresh_until = std::max(link->fresh_until, now.mono + kFresh);
    link->heard = now.mono;
    if (!link->probed || shut_down_)
        return;
    speaker_.receive(
        {.interface = link->id, .flow = {udp->source, udp->destination}, .bytes = udp->payload},
        now.mono);
    settle_babel(now);
}

void Mesh::settle_babel(const Now& now) {
    for (const babel::Outgoing& packet : speaker_.take_packets())
        send_babel(packet);
    if (!speaker_.take_route_changes().empty())
        steering_due_ = true;
    for (const babel::Event& event : speaker_.take_events()) {
        const Member* member = member_of_link(event.neighbor.interface);
        if (member == nullptr)
            continue;
        const std::string& name = member->info.name;
        switch (event.kind) {
            case babel::Event::Kind::neighbor_up:
            case babel::Event::Kind::neighbor_down: {
                const bool up = event.kind == babel::Event::Kind::neighbor_up;
                steering_due_ = true;
                if (!up)
                    doubt_links_beside(event.neighbor.interface, now.mono);
                if (up)
                    on_link_up(event.neighbor.interface, now.mono);
                // It may have restarted, and our session with it be worth nothing.
                if (!up && member->info.relay && !neighbor_is_up(member->node))
                    parts_.device.on_no_session(member->peer, now);
                if (up && member->info.relay)
                    on_relay_back(*member, now);
                log(Log::Level::info, up ? "mesh-link-up" : "mesh-link-down", name,
                    describe(links_.key_of(event.neighbor.interface)), now);
                break;
            }
            case babel::Event::Kind::prefix_refused:
                log(Log::Level::warning, "prefix-refused", name,
                    "announces " + to_string(event.prefix) +
                        ", which the network file does not "
                        "give it",
                    now);
                ++nb_alarms_;
                break;
            case babel::Event::Kind::too_many_routes:
                log(Log::Level::warning, "too-many-routes", name, "announces too much", now);
                ++nb_alarms_;
                break;
            case babel::Event::Kind::neighbor_suspected:
                doubt_links_beside(event.neighbor.interface, now.mono);
                break;
            case babel::Event::Kind::sender_refused:
                break;
        }
    }
    if (std::exchange(steering_due_, false))
        steer_all(now);
}

// Our uplink may be dead, or the other's: the next best link may share that, and Hellos on idle
// links are far apart. Of those by our port, relays' alone: they are few, and stand in.
void Mesh::doubt_links_beside(LinkId id, Time now) {
    const PortId port = links_.key_of(id).port;
    const Member* failed = member_of_link(id);
    for (const auto& [node, member] : members_) {
        for (const auto& [key, link] : member->links) {
            if (link.id != id && link.probed &&
                (member.get() == failed || (member->info.relay && key.port == port)))
                speaker_.doubt(link.id, now);
        }
    }
}

bool Mesh::neighbor_is_up(const IpAddress& node) const {
    return std::ranges::any_of(speaker_.neighbors(), [&](const babel::NeighborView& neighbor) {
        const auto member = by_link_.find(neighbor.id.interface);
        return neighbor.up && member != by_link_.end() && member->second->node == node;
    });
}

void Mesh::on_link_up(LinkId id, Time now) {
    for (auto& [key, link] : member_of_link(id)->links) {
        if (link.id == id)
            link.fresh_until = now + kBack;
    }
}

void Mesh::send_babel(const babel::Outgoing& outgoing) {
    Member* member = member_of_link(outgoing.interface);
    if (member == nullptr || !has_session(*member) || links_.find(outgoing.interface) == nullptr)
        return;
    Packet packet = control::make_udp(
        parts_.dataplane,
        {.source = outgoing.flow.source, .destination = outgoing.flow.destination, .hop_limit = 1},
        outgoing.bytes);
    if (packet)
        seal(*member, std::move(packet), outgoing.interface);
}

void Mesh::seal(Member& member, Packet packet, LinkId link) {
    PacketInfo& info = packet.info();
    info.inject = Inject::seal;
    info.peer = member.peer;
    info.link = link;
    ++member.control_tx;
    parts_.dataplane.send(std::move(packet), member.peer);
}

std::string Mesh::describe(const LinkKey& key) const {
    const auto found = port_terms_.find(key.port);
    return (found == port_terms_.end() ? "?" : found->second.name) + " -> " + to_string(key.remote);
}

}  // namespace meshgate::mesh
