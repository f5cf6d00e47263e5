// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/link_table.h"

#include <algorithm>

#include "control/underlay/send_along.h"

namespace meshgate::mesh {

namespace {

using control::Way;

// RFC 8201, section 4: a smaller path MTU is forgotten after about this long.
constexpr auto kMtuLifetime = std::chrono::minutes{10};
// An ICMP that tells less is not believed (RFC 8200, section 5).
constexpr uint16_t kLeastMtu = 1280;

}  // namespace

LinkTable::LinkTable(Dataplane& dataplane, Neighbors& neighbors)
    : dataplane_{dataplane}, neighbors_{neighbors} {}

LinkTable::~LinkTable() {
    while (!links_.empty()) {
        links_.begin()->second.nb_holders = 1;
        remove(links_.begin()->first);
    }
}

const UnderlayPort* LinkTable::port_of(PortId id) const {
    const auto found = std::ranges::find(ports_, id, &UnderlayPort::id);
    return found == ports_.end() ? nullptr : &*found;
}

// By this port or not at all.
std::optional<Way> LinkTable::way_to(const LinkKey& key) const {
    const UnderlayPort* port = port_of(key.port);
    if (port == nullptr)
        return std::nullopt;
    return control::choose_way({port, 1}, key.remote.address, {});
}

bool LinkTable::has_way(const LinkKey& key) const {
    return way_to(key).has_value();
}

void LinkTable::set_ports(std::vector<UnderlayPort> ports, Time now) {
    ports_ = std::move(ports);
    if (nowhere_ == nullptr && !ports_.empty()) {
        // To nobody's MAC address, should anything ever leave by it.
        const Endpoint nobody{IpAddress::v4(0), 0};
        nowhere_ = std::make_shared<const Link>(make_link({.port = ports_.front().id,
                                                           .port_mtu_bytes = kLeastMtu,
                                                           .vlan = ports_.front().vlan,
                                                           .source_mac = ports_.front().mac,
                                                           .next_hop_mac = {},
                                                           .local = nobody,
                                                           .remote = nobody}));
    }
    for (auto& [id, state] : links_) {
        state.way = way_to(state.key);
        resolve(id, state, now);
    }
}

void LinkTable::set_listen_port(uint16_t listen_port, Time now) {
    listen_port_ = listen_port;
    for (auto& [id, state] : links_)
        resolve(id, state, now);
}

LinkId LinkTable::add(const LinkKey& key, Time now) {
    if (const auto found = ids_.find(key); found != ids_.end()) {
        ++links_.at(found->second).nb_holders;
        return found->second;
    }
    const auto way = way_to(key);
    if (!way)
        return kNoLink;
    const LinkId id = dataplane_.add_link();
    if (id == kNoLink)
        return id;
    State& state = links_[id];
    state.key = key;
    state.way = way;
    ids_[key] = id;
    resolve(id, state, now);
    return id;
}

void LinkTable::remove(LinkId id) {
    const auto found = links_.find(id);
    if (found == links_.end() || --found->second.nb_holders > 0)
        return;
    State& state = found->second;
    for (const PeerId peer : std::set<PeerId>{state.peers})
        refuse(peer);
    set(id, state, nullptr);
    dataplane_.remove_link(id);
    ids_.erase(state.key);
    links_.erase(found);
}

LinkId LinkTable::id_of(const LinkKey& key) const {
    const auto found = ids_.find(key);
    return found == ids_.end() ? kNoLink : found->second;
}

const Link* LinkTable::find(LinkId id) const {
    const auto found = links_.find(id);
    return found == links_.end() ? nullptr : found->second.link.get();
}

void LinkTable::leave(PeerId peer) {
    const auto found = used_.find(peer);
    if (found == used_.end())
        return;
    links_.at(found->second).peers.erase(peer);
    used_.erase(found);
}

void LinkTable::use(PeerId peer, LinkId id) {
    leave(peer);
    State& state = links_.at(id);
    state.peers.insert(peer);
    used_[peer] = id;
    dataplane_.set_path(peer, state.link == nullptr ? nowhere_ : state.link);
}

void LinkTable::wait(PeerId peer) {
    leave(peer);
    dataplane_.set_path(peer, nowhere_);
}

void LinkTable::refuse(PeerId peer) {
    leave(peer);
    dataplane_.set_path(peer, nullptr);
}

// Without the MAC address the old headers stay until there are better ones.
void LinkTable::resolve(LinkId id, State& state, Time now) {
    if (!state.way) {
        set(id, state, nullptr);
        return;
    }
    if (const auto mac = neighbors_.resolve(state.way->port, state.way->next_hop, now))
        rebuild(id, state, *mac, now);
}

void LinkTable::rebuild(LinkId id, State& state, const MacAddress& next_hop, Time now) {
    const UnderlayPort* port = port_of(state.key.port);
    if (port == nullptr || listen_port_ == 0)
        return;
    Link link = make_link({.port = port->id,
                           .port_mtu_bytes = port->mtu_bytes,
                           .vlan = port->vlan,
                           .source_mac = port->mac,
                           .next_hop_mac = next_hop,
                           .local = {state.way->source, listen_port_},
                           .remote = state.key.remote});
    if (state.learned_mtu_bytes != 0)
        link.mtu_bytes = std::min(link.mtu_bytes, state.learned_mtu_bytes);
    const Link* present = state.link.get();
    const bool same = present != nullptr && present->header == link.header &&
                      present->mtu_bytes == link.mtu_bytes &&
                      present->header_len == link.header_len;
    if (!same)
        set(id, state, std::make_shared<const Link>(link));
    if (state.waiting) {
        const wireguard::SendMessage message = std::move(*state.waiting);
        state.waiting.reset();
        send(id, message, now);
    }
}

void LinkTable::set(LinkId id, State& state, std::shared_ptr<const Link> link) {
    state.link = std::move(link);
    dataplane_.set_link(id, state.link);
    for (const PeerId peer : state.peers)
        dataplane_.set_path(peer, state.link);
}

void LinkTable::send(LinkId id, const wireguard::SendMessage& message, Time now) {
    State& state = links_.at(id);
    if (!state.way)
        return;
    if (!neighbors_.resolve(state.way->port, state.way->next_hop, now)) {
        state.waiting = message;
        return;
    }
    if (state.link == nullptr) {
        state.waiting = message;
        return resolve(id, state, now);
    }
    control::send_along(dataplane_, *state.link, message);
}

void LinkTable::on_neighbor(const Neighbors::Event& event, Time now) {
    const bool has_mac = event.kind == Neighbors::Event::Kind::resolved ||
                         event.kind == Neighbors::Event::Kind::moved;
    for (auto& [id, state] : links_) {
        if (!state.way || state.way->port != event.port || state.way->next_hop != event.address)
            continue;
        if (has_mac)
            rebuild(id, state, event.mac, now);
        else
            state.waiting.reset();
    }
}

bool LinkTable::on_path_mtu(const control::PathMtuReport& report, Time now) {
    for (auto& [id, state] : links_) {
        const Link* link = state.link.get();
        if (link == nullptr || link->remote != report.remote || link->local != report.local)
            continue;
        const bool live = std::ranges::any_of(state.peers, [&](PeerId peer) {
            const auto sending = dataplane_.sending(peer);
            return sending && sending->remote_index_le == report.receiver_index_le;
        });
        const int mtu_bytes = report.mtu_bytes - (link->outer_ipv6 ? 80 : 60);
        if (!live || mtu_bytes < 0 || mtu_bytes >= link->mtu_bytes)
            continue;
        state.learned_mtu_bytes = static_cast<uint16_t>(mtu_bytes);
        state.mtu_expires = now + kMtuLifetime;
        auto narrower = std::make_shared<Link>(*link);
        narrower->mtu_bytes = state.learned_mtu_bytes;
        set(id, state, std::move(narrower));
        return true;
    }
    return false;
}

void LinkTable::tick(Time now) {
    for (auto& [id, state] : links_) {
        if (state.learned_mtu_bytes != 0 && state.mtu_expires <= now) {
            state.learned_mtu_bytes = 0;
            resolve(id, state, now);
        }
        // A next hop that did not answer is asked again.
        if (state.way && state.link == nullptr)
            resolve(id, state, now);
    }
}

}  // namespace meshgate::mesh
