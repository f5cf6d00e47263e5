// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/paths.h"

#include <algorithm>

#include "control/underlay/send_along.h"

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

// All peers behind one gateway may greet us at once while we still ask for its MAC address.
constexpr size_t kMessagesPerNextHop = 1024;
constexpr size_t kMaxMessages = 4096;  // for all next hops together
// RFC 8201, section 4: a smaller path MTU is forgotten after about this long.
constexpr auto kMtuLifetime = 10min;

// What an inner packet grows by: outer IP, UDP, transport header, tag.
constexpr uint16_t growth_of(const Link& link) noexcept {
    return link.outer_ipv6 ? 80 : 60;
}

}  // namespace

Paths::Paths(Dataplane& dataplane, Neighbors& neighbors)
    : dataplane_{dataplane},
      neighbors_{neighbors},
      budget_{.max = kMaxMessages},
      waiting_{kMessagesPerNextHop, budget_} {}

Paths::~Paths() {
    for (auto& [peer, path] : paths_)
        set_link(peer, path, nullptr);
}

void Paths::set_ports(std::vector<UnderlayPort> ports, Time now) {
    ports_ = std::move(ports);
    for (auto& [peer, path] : paths_)
        choose(peer, path, now);
}

void Paths::set_listen_ports(std::vector<uint16_t> listen_ports, Time now) {
    listen_ports_ = std::move(listen_ports);
    for (auto& [peer, path] : paths_)
        choose(peer, path, now);
}

void Paths::set_endpoint(PeerId peer, const wireguard::Addressing& to, Time now) {
    PeerPath& path = paths_[peer];
    if (path.to.remote != to.remote) {
        // What was learned of the old path says nothing about the new one.
        mtu_deadlines_.erase({path.mtu_expires, peer});
        path.learned_mtu_bytes = 0;
        path.mtu_expires = kNever;
    }
    path.to = to;
    choose(peer, path, now);
}

void Paths::remove(PeerId peer) {
    const auto it = paths_.find(peer);
    if (it == paths_.end())
        return;
    forget_way(peer, it->second);
    set_link(peer, it->second, nullptr);
    mtu_deadlines_.erase({it->second.mtu_expires, peer});
    paths_.erase(it);
}

const Link* Paths::link_of(PeerId peer) const {
    const auto it = paths_.find(peer);
    return it == paths_.end() ? nullptr : it->second.link.get();
}

std::optional<Way> Paths::way_to(const wireguard::Addressing& to) const {
    return choose_way(ports_, to.remote.address, to.local.address);
}

std::optional<Link> Paths::link_along(const Way& way, const wireguard::Addressing& to,
                                      const MacAddress& next_hop) const {
    const auto port = std::ranges::find(ports_, way.port, &UnderlayPort::id);
    if (port == ports_.end() || listen_ports_.empty())
        return std::nullopt;
    const bool known = std::ranges::count(listen_ports_, to.local.port) != 0;
    return make_link({.port = way.port,
                      .port_mtu_bytes = port->mtu_bytes,
                      .vlan = port->vlan,
                      .source_mac = port->mac,
                      .next_hop_mac = next_hop,
                      .local = {way.source, known ? to.local.port : listen_ports_.front()},
                      .remote = to.remote});
}

void Paths::choose(PeerId peer, PeerPath& path, Time now) {
    const auto way = way_to(path.to);
    if (way != path.way) {
        forget_way(peer, path);
        path.way = way;
        if (way)
            users_[{way->port, way->next_hop}].insert(peer);
    }
    if (!way) {
        set_link(peer, path, nullptr);
        return;
    }
    const auto mac = neighbors_.resolve(way->port, way->next_hop, now);
    // Without the MAC address the old link stays until there is a better one. Where there was none,
    // an unaddressed one stands in, so that packets wait for the session instead of being refused;
    // no session comes up before the next hop answers.
    if (mac || path.link == nullptr)
        rebuild(peer, path, mac.value_or(MacAddress{}));
}

void Paths::rebuild(PeerId peer, PeerPath& path, const MacAddress& next_hop) {
    auto link = link_along(*path.way, path.to, next_hop);
    if (!link) {
        set_link(peer, path, nullptr);
        return;
    }
    if (path.learned_mtu_bytes != 0)
        link->mtu_bytes = std::min(link->mtu_bytes, path.learned_mtu_bytes);
    const Link* present = path.link.get();
    const bool same = present != nullptr && present->port == link->port &&
                      present->mtu_bytes == link->mtu_bytes && present->header == link->header &&
                      present->header_len == link->header_len;
    if (!same)
        set_link(peer, path, std::make_shared<const Link>(*link));
}

void Paths::set_link(PeerId peer, PeerPath& path, std::shared_ptr<const Link> link) {
    dataplane_.set_path(peer, link);
    path.link = std::move(link);
}

void Paths::forget_way(PeerId peer, PeerPath& path) {
    if (!path.way)
        return;
    const auto it = users_.find({path.way->port, path.way->next_hop});
    path.way.reset();
    if (it == users_.end())
        return;
    it->second.erase(peer);
    if (it->second.empty())
        users_.erase(it);
}

void Paths::send(const wireguard::SendMessage& message, Time now) {
    const auto way = way_to(message.to);
    if (!way)
        return;
    const auto mac = neighbors_.resolve(way->port, way->next_hop, now);
    if (!mac) {
        // A handshake is tried again; what was displaced is no loss to count.
        const auto state = neighbors_.state(way->port, way->next_hop);
        if (state == Neighbors::State::incomplete)
            waiting_.push({way->port, way->next_hop}, message);
        return;
    }
    if (const auto link = link_along(*way, message.to, *mac))
        send_along(dataplane_, *link, message);
}

void Paths::on_neighbor(const Neighbors::Event& event, Time now) {
    const NextHop next_hop{event.port, event.address};
    const bool has_mac = event.kind == Neighbors::Event::Kind::resolved ||
                         event.kind == Neighbors::Event::Kind::moved;
    if (has_mac) {
        if (const auto users = users_.find(next_hop); users != users_.end()) {
            for (const PeerId peer : users->second)
                rebuild(peer, paths_.at(peer), event.mac);
        }
    }
    // Links stay when a next hop falls silent: it may still listen, and nothing better is known.
    for (const auto& message : waiting_.take(next_hop)) {
        if (has_mac)
            send(message, now);
    }
}

void Paths::on_path_mtu(const PathMtuReport& report, Time now) {
    if (!mtu_reports_.take(now))
        return;
    for (auto& [peer, path] : paths_) {
        const auto sending = dataplane_.sending(peer);
        const bool ours = path.link != nullptr && path.link->remote == report.remote &&
                          path.link->local == report.local && sending &&
                          sending->remote_index_le == report.receiver_index_le;
        if (!ours || report.mtu_bytes - growth_of(*path.link) >= path.link->mtu_bytes)
            continue;
        mtu_deadlines_.erase({path.mtu_expires, peer});
        path.learned_mtu_bytes = static_cast<uint16_t>(report.mtu_bytes - growth_of(*path.link));
        path.mtu_expires = now + kMtuLifetime;
        mtu_deadlines_.insert({path.mtu_expires, peer});
        auto narrower = std::make_shared<Link>(*path.link);
        narrower->mtu_bytes = path.learned_mtu_bytes;
        set_link(peer, path, std::move(narrower));
        return;
    }
}

void Paths::tick(Time now) {
    while (!mtu_deadlines_.empty() && mtu_deadlines_.begin()->first <= now) {
        const PeerId peer = mtu_deadlines_.begin()->second;
        mtu_deadlines_.erase(mtu_deadlines_.begin());
        PeerPath& path = paths_.at(peer);
        path.learned_mtu_bytes = 0;
        path.mtu_expires = kNever;
        choose(peer, path, now);
    }
}

Time Paths::next_deadline() const noexcept {
    return mtu_deadlines_.empty() ? kNever : mtu_deadlines_.begin()->first;
}

}  // namespace meshgate::control
