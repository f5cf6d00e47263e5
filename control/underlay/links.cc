// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/links.h"

#include <algorithm>

#include "control/wireguard/messages.h"

namespace meshgate::control {

namespace {

// Of handshake messages, the one that is repeated.
constexpr auto kInitiation = static_cast<uint8_t>(wireguard::MessageType::initiation);

// A next hop that did not answer is asked again; the neighbour table remembers failures for 5 s.
constexpr auto kRetry = std::chrono::seconds{5};
// An ICMP about a datagram comes within this of its sending.
constexpr auto kRecentlySent = std::chrono::seconds{5};

// MAC addresses do not matter to it, nor do ports: nothing leaves by it.
std::shared_ptr<const Link> make_unaddressed(const std::vector<UnderlayPort>& ports) {
    if (ports.empty())
        return nullptr;
    // Hosts must not learn a path MTU from what only stands in: the widest port's is told.
    const auto widest = std::ranges::max_element(ports, {}, &UnderlayPort::mtu_bytes);
    Link link;
    link.port = widest->id;
    link.mtu_bytes = widest->mtu_bytes;
    return std::make_shared<const Link>(link);
}

bool is_same(const Link& one, const Link& other) noexcept {
    return one.port == other.port && one.mtu_bytes == other.mtu_bytes &&
           one.header_len == other.header_len && one.header == other.header;
}

}  // namespace

Links::Links(Dataplane& dataplane, Neighbors& neighbors)
    : dataplane_{dataplane}, neighbors_{neighbors}, sender_{dataplane} {}

Links::~Links() {
    while (!by_peer_.empty())
        refuse(by_peer_.begin()->first);
    while (!by_id_.empty()) {
        by_id_.begin()->second->second.nb_holders = 1;
        remove(by_id_.begin()->first);
    }
}

// ---- choice ----

const UnderlayPort* Links::port_of(PortId id) const {
    const auto found = std::ranges::find(ports_, id, &UnderlayPort::id);
    return found == ports_.end() ? nullptr : &*found;
}

std::vector<NextHop> Links::avoided_by(const LinkTarget& target) const {
    std::vector<NextHop> avoided(silent_.begin(), silent_.end());
    const auto of_peer = failover_.avoided(target.peer);
    avoided.insert(avoided.end(), of_peer.begin(), of_peer.end());
    return avoided;
}

bool Links::is_gateway(const NextHop& next_hop) const {
    const UnderlayPort* port = port_of(next_hop.port);
    return port != nullptr &&
           (port->gateway_v4 == next_hop.address || port->gateway_v6 == next_hop.address);
}

std::optional<LinkChoice> Links::choice_for(const LinkTarget& target) const {
    if (listen_ports_.empty())
        return std::nullopt;
    if (target.port == kNoPort)
        return choose_link(ports_, target.remote.address, target.local.address, avoided_by(target));
    const UnderlayPort* port = port_of(target.port);
    if (port == nullptr)
        return std::nullopt;
    return choose_link({port, 1}, target.remote.address, target.local.address);
}

Link Links::make(const LinkChoice& choice, const LinkTarget& target, const MacAddress& next_hop,
                 OuterFragments fragments) const {
    const UnderlayPort& port = *port_of(choice.next_hop.port);
    const bool known = std::ranges::count(listen_ports_, target.local.port) != 0;
    const PathMtus::Path path{target.remote.address, choice.source};
    return make_link({.port = port.id,
                      .port_mtu_bytes = path_mtus_.limit(path, port.mtu_bytes),
                      .vlan = port.vlan,
                      .source_mac = port.mac,
                      .next_hop_mac = next_hop,
                      .local = {choice.source, known ? target.local.port : listen_ports_.front()},
                      .remote = target.remote,
                      .udp_checksum = port.udp_checksum,
                      .fragments = fragments});
}

void Links::set_ports(std::vector<UnderlayPort> ports, Time now) {
    ports_ = std::move(ports);
    unaddressed_ = make_unaddressed(ports_);
    std::erase_if(silent_, [this](const NextHop& gateway) { return !is_gateway(gateway); });
    for (const auto& [peer, entry] : by_peer_) {
        if (entry == nullptr)
            dataplane_.set_path(peer, unaddressed_);
    }
    choose_all(now);
}

void Links::set_listen_ports(std::vector<uint16_t> listen_ports, Time now) {
    listen_ports_ = std::move(listen_ports);
    choose_all(now);
}

void Links::choose_all(Time now) {
    for (Entry& entry : links_)
        choose(entry, Cause::underlay, now);
}

void Links::choose(Entry& entry, Cause cause, Time now) {
    auto& [target, state] = entry;
    const auto choice = choice_for(target);
    if (choice != state.choice) {
        // Coming back is Failover's affair, once a handshake has shown that the port serves.
        const bool moved = choice && state.choice && cause == Cause::underlay &&
                           target.peer != kNoPeer && is_gateway(state.choice->next_hop) &&
                           choice->next_hop.port != state.choice->next_hop.port;
        if (moved)
            failover_.leave(target.peer, state.choice->next_hop, now);
        detach(entry);
        if (choice)
            attach(entry, *choice);
    }
    if (!choice)
        return publish(entry, nullptr);
    if (target.peer != kNoPeer)
        prefer_unmetered(target, *choice, now);
    const NextHop& next_hop = choice->next_hop;
    if (const auto mac = neighbors_.resolve(next_hop.port, next_hop.address, now, choice->source))
        return address(entry, *mac);
    // The old headers stay until there are better ones.
    if (state.link == nullptr)
        publish(entry, nullptr);
    retry_later(next_hop, now);
}

// A stock peer is answered where it came in, also at a metered port.
void Links::prefer_unmetered(const LinkTarget& target, const LinkChoice& choice, Time now) {
    if (!port_of(choice.next_hop.port)->metered)
        return;
    const auto other = choose_link(ports_, target.remote.address, {}, avoided_by(target));
    if (other && is_gateway(other->next_hop) && !port_of(other->next_hop.port)->metered)
        failover_.prefer(target.peer, other->next_hop, now);
}

void Links::address(Entry& entry, const MacAddress& next_hop) {
    const auto& [target, state] = entry;
    const Link link = make(*state.choice, target, next_hop, state.fragments);
    if (state.link == nullptr || !is_same(*state.link, link))
        publish(entry, std::make_shared<const Link>(link));
}

void Links::publish(Entry& entry, std::shared_ptr<const Link> link) {
    State& state = entry.second;
    state.link = std::move(link);
    if (state.id != kNoLink)
        dataplane_.set_link(state.id, state.link);
    for (const PeerId peer : state.peers)
        show(peer, state);
}

void Links::show(PeerId peer, const State& state) {
    if (state.link == nullptr && state.choice)
        dataplane_.set_path(peer, unaddressed_);
    else
        dataplane_.set_path(peer, state.link);
}

void Links::attach(Entry& entry, const LinkChoice& choice) {
    entry.second.choice = choice;
    users_[choice.next_hop].entries.insert(&entry);
}

void Links::detach(Entry& entry) {
    if (!entry.second.choice)
        return;
    const auto users = users_.find(entry.second.choice->next_hop);
    entry.second.choice.reset();
    users->second.entries.erase(&entry);
    if (!users->second.entries.empty())
        return;
    retries_.erase({users->second.retry, users->first});
    users_.erase(users);
}

void Links::retry_later(const NextHop& next_hop, Time now) {
    Users& users = users_.at(next_hop);
    if (users.retry != kNever)
        return;
    users.retry = now + kRetry;
    retries_.insert({users.retry, next_hop});
}

// ---- stock peers ----

void Links::set_endpoint(PeerId peer, const wireguard::Addressing& to, Time now) {
    if (to.local.address.family != Family::none)
        failover_.on_heard_at(peer, to.port, now);
    const LinkTarget target{.remote = to.remote, .local = to.local, .peer = peer};
    if (const auto found = by_peer_.find(peer);
        found != by_peer_.end() && found->second != nullptr && found->second->first == target)
        return choose(*found->second, Cause::wanted, now);
    leave(peer);
    Entry& entry = *links_.try_emplace(target).first;
    entry.second.peers.insert(peer);
    by_peer_[peer] = &entry;
    choose(entry, Cause::wanted, now);
    show(peer, entry.second);
}

void Links::send(const wireguard::SendMessage& message, Time now) {
    const bool initiation =
        message.peer != kNoPeer && message.message.view().front() == kInitiation;
    const LinkTarget as_is{
        .remote = message.to.remote, .local = message.to.local, .peer = message.peer};
    if (!initiation)
        return dispatch(as_is, message, now);
    dispatch(target_of_initiation(message, now).value_or(as_is), message, now);
}

// Failover: an initiation after one without an answer may leave by another gateway. Empty: it
// leaves as any message.
std::optional<LinkTarget> Links::target_of_initiation(const wireguard::SendMessage& message,
                                                      Time now) {
    const PeerId peer = message.peer;
    const auto found = by_peer_.find(peer);
    if (found == by_peer_.end() || found->second == nullptr || !found->second->second.choice)
        return std::nullopt;
    Entry& entry = *found->second;
    const NextHop present = entry.second.choice->next_hop;
    if (!is_gateway(present))
        return std::nullopt;
    switch (failover_.on_initiation(peer, present, now)) {
        case Failover::Route::present:
            return std::nullopt;
        case Failover::Route::home:
            return LinkTarget{.remote = message.to.remote, .port = failover_.home_of(peer)->port};
        case Failover::Route::rechosen:
            break;
    }
    choose(entry, Cause::wanted, now);
    const auto& choice = entry.second.choice;
    if (choice && std::ranges::count(failover_.avoided(peer), choice->next_hop) != 0) {
        failover_.give_in(peer);
        choose(entry, Cause::wanted, now);
    }
    return LinkTarget{.remote = message.to.remote, .peer = peer};
}

void Links::on_handshake(PeerId peer, Initiator initiator, Time now) {
    if (!failover_.on_handshake(peer, initiator, now))
        return;
    if (const auto found = by_peer_.find(peer); found != by_peer_.end() && found->second != nullptr)
        choose(*found->second, Cause::wanted, now);
}

// ---- trials of ports that fell out ----

void Links::begin_trials(Time now) {
    for (const PeerId peer : failover_.take_due(now)) {
        const NextHop home = *failover_.home_of(peer);
        const UnderlayPort* port = port_of(home.port);
        // Without a session the peer is away, and its own initiations go round the gateways.
        const bool usable = dataplane_.sending(peer) && port != nullptr && port->up &&
                            is_gateway(home) && !silent_.contains(home);
        if (!usable) {
            failover_.wait(peer, now);
            continue;
        }
        failover_.try_home(peer);
        trials_.push_back(peer);
    }
}

// ---- links of the mesh ----

bool Links::has_way(const LinkKey& key) const {
    return choice_for({.remote = key.remote, .port = key.port}).has_value();
}

LinkId Links::add(const LinkKey& key, Time now, OuterFragments fragments) {
    const LinkTarget target{.remote = key.remote, .port = key.port};
    if (const auto found = links_.find(target); found != links_.end()) {
        ++found->second.nb_holders;
        return found->second.id;
    }
    if (!choice_for(target))
        return kNoLink;
    const LinkId id = dataplane_.add_link();
    if (id == kNoLink)
        return id;
    Entry& entry = *links_.try_emplace(target).first;
    entry.second.id = id;
    entry.second.nb_holders = 1;
    entry.second.fragments = fragments;
    by_id_[id] = &entry;
    choose(entry, Cause::wanted, now);
    return id;
}

void Links::remove(LinkId id) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end() || --found->second->second.nb_holders > 0)
        return;
    Entry& entry = *found->second;
    for (const PeerId peer : std::set<PeerId>{entry.second.peers})
        refuse(peer);
    dataplane_.set_link(id, nullptr);
    dataplane_.remove_link(id);
    by_id_.erase(found);
    detach(entry);
    links_.erase(LinkTarget{entry.first});
}

LinkId Links::id_of(const LinkKey& key) const {
    const auto found = links_.find({.remote = key.remote, .port = key.port});
    return found == links_.end() ? kNoLink : found->second.id;
}

LinkKey Links::key_of(LinkId id) const {
    const LinkTarget& target = by_id_.at(id)->first;
    return {target.port, target.remote};
}

const Link* Links::find(LinkId id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second->second.link.get();
}

void Links::send(LinkId id, const wireguard::SendMessage& message, Time now) {
    dispatch(by_id_.at(id)->first, message, now);
}

bool Links::is_mtu_told(const Link& link) const {
    return path_mtus_.limit({link.remote.address, link.local.address}, UINT16_MAX) != UINT16_MAX;
}

// ---- paths of peers ----

void Links::use(PeerId peer, LinkId id) {
    leave(peer);
    Entry& entry = *by_id_.at(id);
    entry.second.peers.insert(peer);
    by_peer_[peer] = &entry;
    show(peer, entry.second);
}

void Links::wait(PeerId peer) {
    leave(peer);
    by_peer_[peer] = nullptr;
    dataplane_.set_path(peer, unaddressed_);
}

void Links::refuse(PeerId peer) {
    leave(peer);
    dataplane_.set_path(peer, nullptr);
}

void Links::forget(PeerId peer) {
    refuse(peer);
    failover_.forget(peer);
}

void Links::leave(PeerId peer) {
    const auto found = by_peer_.find(peer);
    if (found == by_peer_.end())
        return;
    Entry* entry = found->second;
    by_peer_.erase(found);
    if (entry == nullptr)
        return;
    entry->second.peers.erase(peer);
    if (entry->second.id != kNoLink || !entry->second.peers.empty())
        return;
    detach(*entry);
    links_.erase(LinkTarget{entry->first});
}

std::optional<Links::PathView> Links::path_of(PeerId peer) const {
    const auto found = by_peer_.find(peer);
    if (found == by_peer_.end() || found->second == nullptr || !found->second->second.choice)
        return std::nullopt;
    const auto& [target, state] = *found->second;
    if (state.link == nullptr)
        return PathView{target.remote, state.choice->next_hop.port, 0, false};
    return PathView{target.remote, state.link->port, state.link->mtu_bytes,
                    is_mtu_told(*state.link)};
}

void Links::dispatch(const LinkTarget& target, const wireguard::SendMessage& message, Time now) {
    const auto choice = choice_for(target);
    if (!choice)
        return dataplane_.count_drop(Drop::no_endpoint);
    const NextHop& next_hop = choice->next_hop;
    if (const auto mac = neighbors_.resolve(next_hop.port, next_hop.address, now, choice->source))
        return sender_.send(make(*choice, target, *mac, OuterFragments::allowed), message);
    if (neighbors_.state(next_hop.port, next_hop.address) != Neighbors::State::incomplete)
        return dataplane_.count_drop(Drop::unresolved_neighbor);
    sender_.hold(next_hop, {target, message});
}

// ---- events ----

void Links::on_neighbor(const Neighbors::Event& event, Time now) {
    if (event.kind == Neighbors::Event::Kind::conflict)
        return;
    const NextHop next_hop{event.port, event.address};
    const bool has_mac = event.kind != Neighbors::Event::Kind::failed;
    const bool fell_silent = !has_mac && is_gateway(next_hop) && silent_.insert(next_hop).second;
    if (fell_silent || (has_mac && silent_.erase(next_hop) != 0))
        choose_all(now);
    // Links whose next hop falls silent stay where there is no other: it may still listen.
    if (const auto users = users_.find(next_hop); has_mac && users != users_.end()) {
        for (Entry* entry : users->second.entries)
            address(*entry, event.mac);
    }
    for (const auto& handshake : sender_.take(next_hop)) {
        if (has_mac)
            dispatch(handshake.target, handshake.message, now);
        else
            dataplane_.count_drop(Drop::unresolved_neighbor);
    }
}

bool Links::is_believed(const State& state, const PathMtuReport& report) const {
    const uint64_t now_tsc = dataplane_.tsc_now();
    const uint64_t recent_tsc = kRecentlySent.count() * dataplane_.tsc_hz();
    return std::ranges::any_of(state.peers, [&](PeerId peer) {
        const auto sending = dataplane_.sending(peer);
        if (!sending)
            return false;
        if (report.receiver_index_le)
            return sending->remote_index_le == *report.receiver_index_le;
        const uint64_t sent_tsc = dataplane_.activity(peer).last_any_tx_tsc;
        return sent_tsc != 0 && now_tsc - std::min(now_tsc, sent_tsc) < recent_tsc;
    });
}

void Links::on_path_mtu(const PathMtuReport& report, Time now) {
    if (!path_mtus_.admit(now))
        return;
    const PathMtus::Path path{report.remote.address, report.local.address};
    const Proof proof = report.receiver_index_le ? Proof::receiver_index : Proof::ports;
    for (auto it = links_.lower_bound({.remote = report.remote, .port = 0});
         it != links_.end() && it->first.remote == report.remote; ++it) {
        const Link* link = it->second.link.get();
        if (link == nullptr || link->local != report.local || !is_believed(it->second, report))
            continue;
        const UnderlayPort* port = port_of(link->port);
        if (port == nullptr || report.mtu_bytes >= path_mtus_.limit(path, port->mtu_bytes))
            return;
        path_mtus_.learn(path, report.mtu_bytes, proof, now);
        return remeasure(path, now);
    }
}

// What is known of the path changed: all links along it, whatever their UDP ports, get its MTU.
void Links::remeasure(const PathMtus::Path& path, Time now) {
    for (auto it = links_.lower_bound({.remote = {path.remote, 0}});
         it != links_.end() && it->first.remote.address == path.remote; ++it) {
        if (it->second.choice && it->second.choice->source == path.local)
            choose(*it, Cause::underlay, now);
    }
}

void Links::tick(Time now) {
    for (const PathMtus::Path& path : path_mtus_.expire(now))
        remeasure(path, now);
    while (!retries_.empty() && retries_.begin()->first <= now) {
        Users& users = users_.at(retries_.begin()->second);
        retries_.erase(retries_.begin());
        users.retry = kNever;
        for (Entry* entry : std::set<Entry*>{users.entries}) {
            if (entry->second.link == nullptr)
                choose(*entry, Cause::underlay, now);
        }
    }
    begin_trials(now);
}

Time Links::next_deadline() const noexcept {
    const Time retry = retries_.empty() ? kNever : retries_.begin()->first;
    return std::min({path_mtus_.next_deadline(), failover_.next_deadline(), retry});
}

}  // namespace meshgate::control
