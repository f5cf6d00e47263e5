// SPDX-License-Identifier: Apache-2.0
// Members and what time does to them.
#include "control/mesh/mesh.h"

#include <sodium.h>

#include <algorithm>
#include <utility>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// Between reviews of all members: idle, links, handshakes due.
constexpr auto kReviewInterval = 100ms;
// A member without traffic for so long is idle: its links are no longer probed, its session ends.
constexpr auto kIdleAfter = 60s;
// Between handshake attempts over a link that nobody answers on.
constexpr auto kGreetingInterval = 1s;
constexpr unsigned kGreetingsPerReview = 50;  // such attempts in one review
// How long an answered handshake vouches for the link it came by.
constexpr auto kGreetingLife = 5s;

}  // namespace

const char* to_string(LinkOrigin origin) noexcept {
    switch (origin) {
        case LinkOrigin::network_file:
            return "network file";
        case LinkOrigin::heard:
            return "heard";
        case LinkOrigin::candidate:
            return "candidate";
    }
    return "?";
}

Mesh::Mesh(MeshParts parts, const config::AuthorityKey& authority, const config::Model& box)
    : parts_{std::move(parts)},
      authority_{authority},
      public_key_{box.node.public_key},
      node_{config::node_address(authority, public_key_)},
      link_local_{config::link_local_address(public_key_)},
      node_prefix_{config::node_prefix(authority)},
      links_{parts_.links},
      speaker_{{.fill_random = [](auto bytes) { randombytes_buf(bytes.data(), bytes.size()); },
                .router_id = std::nullopt,
                .policy = this}},
      relays_{{.self = node_}, *this, *this},
      clients_{node_, *this},
      published_{*this, *this, *this},
      created_{parts_.clock().mono} {}

Mesh::~Mesh() {
    for (auto& [node, member] : members_)
        links_.refuse(member->peer);
}

void Mesh::log(Log::Level level, std::string_view name, std::string_view subject, std::string text,
               const Now& now) {
    parts_.log.write({level, name, subject, std::move(text)}, now.mono);
}

Member* Mesh::member_at(const IpAddress& node) {
    const auto found = members_.find(node);
    return found == members_.end() ? nullptr : found->second.get();
}

Member* Mesh::member_of(PeerId peer) {
    const auto found = by_peer_.find(peer);
    return found == by_peer_.end() ? nullptr : found->second;
}

Member* Mesh::member_of_link(LinkId id) {
    const auto found = by_link_.find(id);
    return found == by_link_.end() ? nullptr : found->second;
}

// ---- the network file ----

void Mesh::apply(config::Network network, const config::SignedNetwork& file, const Now& now) {
    const Time time = now.mono;
    std::vector<uint8_t> bytes{file.signature.begin(), file.signature.end()};
    bytes.insert(bytes.end(), file.text.begin(), file.text.end());
    files_.set_current(network.version, std::move(bytes), time);
    network_ = std::move(network);
    const auto self = std::ranges::find(network_.members, public_key_, &config::Member::public_key);
    self_.reset();
    if (self != network_.members.end())
        self_ = *self;
    else
        log(Log::Level::error, "not-a-member", network_.name,
            "our key is not in version " + std::to_string(network_.version) +
                " of the network file",
            now);
    has_relays_ = std::ranges::any_of(network_.members, &config::Member::relay);
    std::map<IpAddress, const config::Member*> wanted;
    for (const config::Member& info : network_.members) {
        if (self_ && info.public_key != public_key_)
            wanted[config::node_address(authority_, info.public_key)] = &info;
    }
    std::vector<Member*> gone;
    for (auto& [node, member] : members_) {
        if (!wanted.contains(node))
            gone.push_back(member.get());
    }
    for (Member* member : gone)
        remove_member(*member, now);
    for (const auto& [node, info] : wanted) {
        Member* member = member_at(node);
        if (member == nullptr) {
            add_member(*info, now);
            continue;
        }
        member->info = *info;
        parts_.set_name(member->peer, info->name);
        make_links(*member, time);
    }
    if (self_) {
        speaker_.originate({node_, 128}, babel::Scope::everywhere, time);
        if (self_->relay)
            speaker_.originate(node_prefix_, babel::Scope::aggregate, time);
        else
            speaker_.withdraw(node_prefix_, time);
    }
    // Who hears what from us depends on who is a relay.
    for (auto& [node, member] : members_) {
        for (auto& [key, link] : member->links)
            speaker_.set_announce(link.id, announce_to(*member), time);
    }
    std::vector<RelayMember> everybody;
    for (const config::Member& info : network_.members) {
        if (self_)
            everybody.push_back({config::node_address(authority_, info.public_key), info.relay});
    }
    tell_clients(time);
    set_published();
    relays_.set_members(everybody, time);
    relays_.set_serving(self_ && self_->relay);
    settle_relays(now);
    settle_exchanges(now);
    speaker_.on_policy_changed(time);
    next_review_ = time;
}

std::set<std::string> Mesh::hosts() const {
    std::set<std::string> result;
    for (const auto& [node, member] : members_) {
        for (const config::MemberEndpoint& endpoint : member->info.endpoints) {
            if (!endpoint.host.empty())
                result.insert(endpoint.host);
        }
    }
    return result;
}

// Links to addresses that the name no longer has stay as long as they work.
void Mesh::set_addresses(const std::string& host, const std::vector<IpAddress>& addresses,
                         const Now& now) {
    addresses_[host] = addresses;
    for (auto& [node, member] : members_)
        make_links(*member, now.mono);
}

void Mesh::tell_clients(Time now) {
    std::map<std::string, IpAddress> nodes;
    std::vector<IpAddress> members;
    for (const config::Member& info : network_.members) {
        members.push_back(config::node_address(authority_, info.public_key));
        nodes[info.name] = members.back();
    }
    std::vector<ClientRule> rules;
    for (const config::Client& client : network_.clients) {
        ClientRule& rule = rules.emplace_back();
        rule.key = client.public_key;
        for (const std::string& box : client.boxes)
            rule.boxes.push_back(nodes.at(box));
    }
    clients_.set_network(rules, members, now);
}

void Mesh::add_member(const config::Member& info, const Now& now) {
    auto member = std::make_unique<Member>();
    member->info = info;
    member->node = config::node_address(authority_, info.public_key);
    member->link_local = config::link_local_address(info.public_key);
    member->peer = parts_.dataplane.add_peer();
    if (member->peer == kNoPeer)
        return log(Log::Level::error, "no-room", info.name,
                   "dataplane.max_peers is too small for the network", now);
    links_.wait(member->peer);
    const auto added = parts_.device.add_peer(member->peer,
                                              {.public_key = info.public_key,
                                               .preshared_key = SecretKey{},
                                               .endpoint = wireguard::NodeAddress{member->node}},
                                              now);
    if (added != wireguard::AddPeer::added) {
        links_.refuse(member->peer);
        parts_.dataplane.remove_peer(member->peer);
        return log(Log::Level::error, "member-refused", info.name,
                   "its public key is that of a peer in the box file", now);
    }
    // Its datagrams come by many links and relays: nobody need be told where from.
    parts_.dataplane.set_path_is_fixed(member->peer);
    parts_.set_name(member->peer, info.name);
    by_peer_[member->peer] = member.get();
    members_[member->node] = std::move(member);
}

// Its sessions end, and nothing of it is known any more.
void Mesh::remove_member(Member& member, const Now& now) {
    const Time time = now.mono;
    log(Log::Level::info, "member-removed", member.info.name, "no longer in the network file", now);
    while (!member.links.empty())
        remove_link(member, LinkKey{member.links.begin()->first}, time);
    speaker_.unwant({member.node, 128});
    for (const auto& [local_index, remote_index] : member.keypairs)
        relays_.close(remote_index, time);
    links_.refuse(member.peer);
    parts_.device.remove_peer(member.peer, now);
    by_peer_.erase(member.peer);
    departed_.push_back(member.peer);
    members_.erase(IpAddress{member.node});
    steering_due_ = true;
}

void Mesh::set_ports(const config::Model& box, const Now& now) {
    port_terms_.clear();
    for (size_t i = 0; i < box.ports.size(); ++i) {
        const config::Port& port = box.ports[i];
        port_terms_[static_cast<PortId>(i)] = {port.name, port.cost_bias, port.metered};
    }
    for (auto& [node, member] : members_) {
        for (auto& [key, link] : member->links) {
            if (link.probed)
                speaker_.set_cost(link.id, cost_of(key), now.mono);
        }
        make_links(*member, now.mono);
    }
}

std::vector<control::PeerPrefixes> Mesh::prefixes() const {
    std::vector<control::PeerPrefixes> result;
    for (const auto& [node, member] : members_) {
        std::vector<Prefix> prefixes = member->info.prefixes;
        prefixes.push_back({node, 128});
        result.push_back({member->peer, std::move(prefixes), control::RouteOrigin::network_file});
    }
    return result;
}

// ---- sessions ----

bool Mesh::has_session(const Member& member) const {
    return parts_.dataplane.sending(member.peer).has_value();
}

// Boxes that keep a session whatever the traffic: relays with everybody; without relays, all.
bool Mesh::is_eager(const Member& member) const {
    return self_ && (self_->relay || member.info.relay || !has_relays_);
}

bool Mesh::is_active(const Member& member, Time now) const {
    return member.last_user && now - *member.last_user < kIdleAfter;
}

// Leaves greet relays, again and again. A relay greets a leaf once, when it starts or learns of it:
// then the leaf need not first find out that the relay was gone.
bool Mesh::greets(Member& member, Time now) {
    if (!is_eager(member) || member.links.empty() || now < member.next_greeting)
        return false;
    member.next_greeting = now + kGreetingInterval;
    const bool ours = member.info.relay || !has_relays_;
    return ours || !std::exchange(member.greeted, true);
}

void Mesh::on_keypair(const wireguard::InstallKeypair& keypair, const Now& now) {
    Member* member = member_of(keypair.peer);
    if (member == nullptr)
        return on_client_keypair(keypair.peer, now);
    member->keypairs[keypair.local_index] = keypair.remote_index;
    if (const auto* from = std::get_if<wireguard::Addressing>(&keypair.from)) {
        const LinkKey key{from->port, from->remote};
        member->greeted_by = key;
        member->greeted_until = now.mono + kGreetingLife;
        add_link(*member, key, LinkOrigin::heard, now.mono);
    } else {
        member->greeted_by.reset();
    }
    make_links(*member, now.mono);
    relays_.open(keypair.remote_index, member->node, now.mono);
    settle_relays(now);
    // Somebody wanted it, here or there: worth a look for the best way.
    if (member->keypairs.size() == 1)
        member->last_user = now.mono;
    steer(*member, now);
}

void Mesh::on_keypair_removed(PeerId peer, uint32_t local_index, const Now& now) {
    Member* member = member_of(peer);
    if (member == nullptr)
        return on_client_keypair_removed(peer, now.mono);
    if (const auto keypair = member->keypairs.find(local_index);
        keypair != member->keypairs.end()) {
        relays_.close(keypair->second, now.mono);
        member->keypairs.erase(keypair);
    }
    if (member->keypairs.empty()) {
        member->steering.reset();
        member->held = false;
        member->lost_at.reset();
        links_.wait(peer);
        for (auto& [key, link] : member->links)
            set_probing(*member, link, false, now.mono);
    }
    steering_due_ = true;
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
    speaker_.tick(time);
    settle_babel(now);
    relays_.tick(time);
    settle_relays(now);
    files_.tick(time);
    clients_.tick(time);
    settle_exchanges(now);
    published_.tick(time);
    settle_published(now);
}

Time Mesh::next_deadline() const {
    if (shut_down_)
        return kNever;
    return std::min({next_review_, speaker_.next_deadline(), relays_.next_deadline(),
                     files_.next_deadline(), clients_.next_deadline(), published_.next_deadline()});
}

void Mesh::review(const Now& now) {
    find_used_links(now.mono);
    nb_greetings_ = 0;
    std::erase_if(stranded_, [&](const auto& entry) { return entry.second.expires <= now.mono; });
    for (auto& [node, member] : members_)
        review_member(*member, now);
    if (std::exchange(steering_due_, false))
        steer_all(now);
}

void Mesh::review_member(Member& member, const Now& now) {
    const Time time = now.mono;
    if (member.has_session())
        watch_traffic(member, time);
    else if (is_eager(member))
        make_links(member, time);
    remove_stale_links(member, time);
    if (!member.has_session() && nb_greetings_ < kGreetingsPerReview && greets(member, time)) {
        ++nb_greetings_;
        parts_.device.on_no_session(member.peer, now);
    }
    if (!member.has_session())
        return;
    const bool probe = has_session(member) && (is_eager(member) || is_active(member, time));
    for (auto& [key, link] : member.links)
        set_probing(member, link, probe, time);
    if (probe && !is_eager(member))
        speaker_.want({member.node, 128}, time);
    if (!probe)
        speaker_.unwant({member.node, 128});
    set_intervals(member, time);
    for (auto& [key, link] : member.links) {
        if (link.heard && time - *link.heard < 5s)
            tell_seen(member, link, now);
    }
    look_for_direct(member, now);
    forgive(member, time);
    probe_path(member, now);
    if (member.held && time >= member.held_until)
        insist(member);
    if (member.held || !member.steering || member.lost_at)
        steer(member, now);
}

// What the packet path counted less what we sent ourselves; keepalives are no traffic either.
void Mesh::watch_traffic(Member& member, Time now) {
    const Dataplane::Activity seen = parts_.dataplane.activity(member.peer);
    const auto grew = [](uint64_t& user, uint64_t counted, uint64_t control) {
        const uint64_t present = counted - std::min(counted, control);
        return present > std::exchange(user, std::max(user, present));
    };
    const bool sent =
        seen.last_data_tx_tsc != std::exchange(member.data_tx_tsc, seen.last_data_tx_tsc);
    const bool received =
        seen.last_data_rx_tsc != std::exchange(member.data_rx_tsc, seen.last_data_rx_tsc);
    const bool more_sent = grew(member.user_tx, seen.tx_packets, member.control_tx);
    const bool more_received = grew(member.user_rx, seen.rx_packets, member.control_rx);
    if ((sent && more_sent) || (received && more_received))
        member.last_user = now;
}

bool Mesh::shutdown(const Now& now) {
    if (shut_down_)
        return false;
    relays_.set_serving(false);
    speaker_.shutdown();
    settle_babel(now);
    shut_down_ = true;
    return std::ranges::any_of(members_,
                               [](const auto& entry) { return entry.second->has_session(); });
}

}  // namespace meshgate::mesh
