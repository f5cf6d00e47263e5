// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/gateway.h"

#include <sodium.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "control/packets/icmp.h"

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

// One call of poll() takes at most so many packets and spends at most so long on handshakes, so
// that a flood of either leaves room for timers.
constexpr size_t kPuntsPerPoll = 512;
constexpr size_t kNotesPerPoll = 256;  // notes of workers taken in one turn
// Of one turn for handshakes; timers and Babel have the rest.
constexpr uint64_t kHandshakeBudgetNs = 4'000'000;
// Handshakes that wait for control; the device is under load from 512 on (W22).
constexpr size_t kMaxQueuedHandshakes = 4096;
// Packets that wait for anything may hold this part of the pool.
constexpr size_t kPoolShare = 4;
// A burst of new neighbours makes one snapshot.
constexpr auto kPublishInterval = 5ms;

}  // namespace

Gateway::Gateway(Parts parts, config::Model model)
    : parts_{std::move(parts)},
      model_{std::move(model)},
      packet_budget_{.max = parts_.dataplane.options().nb_mbufs / kPoolShare},
      device_{device_options()},
      next_hops_{parts_.dataplane, packet_budget_, parts_.log},
      links_{parts_.dataplane, next_hops_.table()},
      sessions_{
          {.dataplane = parts_.dataplane,
           .device = device_,
           .links = links_,
           .next_hops = next_hops_,
           .budget = packet_budget_,
           .log = parts_.log,
           .name_of = [this](PeerId peer) { return name_of(peer); },
           .conflict_quiet = std::chrono::nanoseconds{parts_.timings.rekey_after_time_ns / 2}}},
      site_routers_{
          {.dataplane = parts_.dataplane,
           .neighbors = next_hops_.table(),
           .log = parts_.log,
           .fill_random =
               [](std::span<uint8_t> bytes) { randombytes_buf(bytes.data(), bytes.size()); },
           .mark = router_mark()}} {}

wireguard::DeviceOptions Gateway::device_options() {
    return {.timings = parts_.timings,
            .nb_workers = parts_.dataplane.options().nb_workers,
            .sample_activity =
                [this](PeerId peer) { return sessions_.activity_of(peer, parts_.clock()); },
            .fill_random = {}};
}

Result<std::unique_ptr<Gateway>> Gateway::create(Parts parts, config::Model model,
                                                 Secrets secrets) {
    std::unique_ptr<Gateway> gateway{new Gateway{std::move(parts), std::move(model)}};
    const Now now = gateway->now();
    const config::Model& present = gateway->model_;
    for (size_t i = 0; i < present.ports.size(); ++i) {
        const PortStatus port = gateway->parts_.dataplane.port_status(static_cast<PortId>(i));
        gateway->macs_.push_back(port.mac);
        gateway->mtus_bytes_.push_back(port.mtu_bytes);
    }
    gateway->down_since_ns_.resize(present.ports.size());
    gateway->rebinds_.resize(present.ports.size());
    gateway->offload_repairs_.resize(present.ports.size());
    gateway->device_.set_private_key(std::move(secrets.private_key), now);
    gateway->publish_listen_ports(now.mono);
    gateway->publish_ports(now.mono);
    for (const config::Peer& peer : present.peers) {
        if (auto added = gateway->add_peer(peer, secrets, now); !added)
            return within("peer " + peer.name, added.error());
    }
    if (gateway->parts_.network != nullptr)
        gateway->make_mesh(now);
    gateway->set_site_routers(std::move(secrets.mac_keys), now.mono);
    gateway->publish_routes();
    gateway->publish(now.mono);
    return gateway;
}

void Gateway::up() {
    const Now now = this->now();
    phase_ = Phase::running;
    device_.up(now);
    settle(now);
}

bool Gateway::leave() {
    phase_ = Phase::leaving;
    site_routers_.shutdown();
    if (!mesh_)
        return false;
    const Now now = this->now();
    const bool missed = mesh_->shutdown(now);
    settle(now);
    return missed;
}

void Gateway::down() {
    const Now now = this->now();
    phase_ = Phase::leaving;
    device_.down(now);
    settle(now);
}

// ---- what the workers hand up ----

bool Gateway::poll() {
    const Now now = this->now();
    size_t nb_punts = 0;
    for (; nb_punts < kPuntsPerPoll; ++nb_punts) {
        Packet packet = parts_.dataplane.next_punt();
        if (!packet)
            break;
        handle(std::move(packet), now);
    }
    size_t nb_notes = 0;
    for (; nb_notes < kNotesPerPoll; ++nb_notes) {
        const auto note = parts_.dataplane.next_note();
        if (!note)
            break;
        handle(*note, now);
    }
    sessions_.carry_out(now);
    answer_handshakes();
    if (mesh_)
        look_at_candidates(now);
    settle(now);
    return nb_punts == kPuntsPerPoll || nb_notes == kNotesPerPoll || !handshakes_.empty();
}

void Gateway::handle(Packet packet, const Now& now) {
    const PacketInfo& info = packet.info();
    const Time time = now.mono;
    switch (info.punt) {
        case Punt::handshake:
            return queue_handshake(packet);
        case Punt::arp:
        case Punt::neighbor_discovery:
            return next_hops_.receive(info.port, packet.bytes(), time);
        case Punt::icmp_to_us:
            return answer_echo(std::move(packet), time);
        case Punt::underlay_icmp:
            if (const auto report = parse_path_mtu_report(packet.bytes()))
                links_.on_path_mtu(*report, time);
            return;
        case Punt::no_session:
            return sessions_.stage(std::move(packet), now);
        case Punt::unresolved_neighbor:
            return next_hops_.hold(std::move(packet), time);
        case Punt::mesh:
            if (mesh_ && mesh_->members().of(info.peer) != nullptr)
                return mesh_->receive(std::move(packet), now);
            if (site_routers_.takes(info))
                return site_routers_.receive(packet, time);
            // Nobody here listens.
            parts_.dataplane.count_drop(Drop::local_no_listener);
            return;
        case Punt::nb_reasons:
            break;
    }
    MG_ASSERT(!"a punt without a reason");
}

void Gateway::queue_handshake(const Packet& packet) {
    const auto bytes = packet.bytes();
    const PacketInfo& info = packet.info();
    if (bytes.size() > wireguard::Message::kMaxLen) {
        parts_.dataplane.count_drop(Drop::bad_message);
        return;
    }
    if (handshakes_.size() >= kMaxQueuedHandshakes) {
        parts_.dataplane.count_drop(Drop::punt_full);
        return;
    }
    QueuedHandshake& queued = handshakes_.emplace_back();
    std::ranges::copy(bytes, queued.bytes.begin());
    queued.len = bytes.size();
    queued.from = {.remote = info.remote, .local = info.local, .port = info.port};
}

// Workers refuse handshakes that are more than we can answer: then others must prove by a cookie
// where they are, although few wait here.
bool Gateway::workers_refuse_handshakes() {
    uint64_t nb_refused = 0;
    for (unsigned worker = 0; worker < parts_.dataplane.options().nb_workers; ++worker)
        nb_refused += parts_.dataplane.counters(worker).drops.get(Drop::handshake_flood);
    return nb_refused != std::exchange(nb_refused_handshakes_, nb_refused);
}

void Gateway::answer_handshakes() {
    if (handshakes_.empty())
        return;
    const size_t nb_least = workers_refuse_handshakes() ? kMaxQueuedHandshakes : 0;
    const uint64_t start_ns = now().mono_ns();
    while (!handshakes_.empty()) {
        const Now now = this->now();
        if (now.mono_ns() - start_ns > kHandshakeBudgetNs)
            return;
        const QueuedHandshake queued = handshakes_.front();
        handshakes_.pop_front();
        const auto bytes = std::span{queued.bytes}.first(queued.len);
        const auto fate =
            device_.receive(bytes, queued.from, std::max(handshakes_.size(), nb_least), now);
        if (mesh_ && is_for_another(fate))
            mesh_->on_handshake_for_another(bytes, queued.from, now);
        sessions_.carry_out(now);
    }
}

void Gateway::answer_echo(Packet packet, Time now) {
    if (!echo_replies_.take(now))
        return parts_.dataplane.count_drop(Drop::echo_flood);
    if (!make_echo_reply(packet.bytes()))
        return parts_.dataplane.count_drop(Drop::bad_echo);
    PacketInfo& info = packet.info();
    if (info.peer != kNoPeer) {
        info.inject = Inject::route;
        parts_.dataplane.send(std::move(packet));
        return;
    }
    // Back to where it came from, which also serves link-local addresses.
    const PortIdentity identity{macs_.at(info.port), model_.ports[info.port].vlan.value_or(0)};
    const Frame header = ethernet_header_for(identity, info.source_mac, packet.bytes());
    uint8_t* front = packet.prepend(static_cast<uint16_t>(header.size()));
    if (front == nullptr)
        return parts_.dataplane.count_drop(Drop::no_headroom);
    std::ranges::copy(header, front);
    info.inject = Inject::frame;
    parts_.dataplane.send(std::move(packet));
}

void Gateway::handle(const Note& note, const Now& now) {
    switch (note.kind) {
        case Note::Kind::confirmed:
            return device_.on_confirmed(note.local_index, now);
        case Note::Kind::endpoint_moved:
            // Of members, links are learned by their probes: packets may come by way of relays.
            if (mesh_ && mesh_->members().of(note.peer) != nullptr)
                return;
            return device_.on_endpoint_moved(
                note.peer, {.remote = note.remote, .local = note.local, .port = note.port}, now);
    }
}

// ---- timers ----

void Gateway::tick() {
    const Now now = this->now();
    device_.tick(now);
    next_hops_.tick(now.mono);
    links_.tick(now.mono);
    for (const PeerId peer : links_.take_trials())
        device_.on_no_session(peer, now);
    if (mesh_)
        mesh_->tick(now);
    if (site_routers_.next_deadline() <= now.mono)
        site_routers_.tick(now.mono);
    const size_t nb_expired = std::erase_if(
        old_listen_ports_, [&](const OldListenPort& old) { return old.expires <= now.mono; });
    if (nb_expired > 0)
        publish_listen_ports(now.mono);
    settle(now);
}

Time Gateway::next_deadline() const noexcept {
    Time deadline = std::min(next_hops_.next_deadline(), links_.next_deadline());
    deadline = std::min(deadline, site_routers_.next_deadline());
    const uint64_t device_ns = device_.next_deadline();
    if (device_ns != wireguard::kNeverNs)
        deadline = std::min(deadline, Time{std::chrono::nanoseconds{device_ns}});
    if (mesh_)
        deadline = std::min(deadline, mesh_->next_deadline());
    for (const OldListenPort& old : old_listen_ports_)
        deadline = std::min(deadline, old.expires);
    if (routes_stale_)
        deadline = std::min(deadline, routes_published_ + routes_interval_);
    if (snapshot_stale_)
        deadline = std::min(deadline, published_ + kPublishInterval);
    return deadline;
}

void Gateway::sample() {
    const Now now = this->now();
    sessions_.sample(now);
    settle(now);
}

void Gateway::on_vm_fork() {
    const Now now = this->now();
    ++vm_forks_.total;
    vm_forks_.last = now.mono;
    device_.on_vm_fork(now);
    settle(now);
    parts_.log.write(
        {Log::Level::warning, "vm-fork", model_.node.name,
         "this machine was copied or went back to a snapshot: all sessions are made anew"},
        now.mono);
}

void Gateway::watch_links() {
    const Now now = this->now();
    parts_.dataplane.tick_ports(now.mono);
    std::vector<PortId> changed;
    for (size_t i = 0; i < model_.ports.size(); ++i) {
        if (watch_port(static_cast<PortId>(i), now))
            changed.push_back(static_cast<PortId>(i));
    }
    if (!changed.empty()) {
        publish_ports(now.mono);
        set_site_routers({}, now.mono);
    }
    for (const PortId port : changed) {  // with the port's present MAC address
        if (down_since_ns_[port] == 0)
            next_hops_.link_up(port, now.mono);
    }
    settle(now);
}

// True when what is known of the port changed.
bool Gateway::watch_port(PortId id, const Now& now) {
    const PortStatus port = parts_.dataplane.port_status(id);
    const std::string& name = model_.ports[id].name;
    const auto log = [&](Log::Level level, const char* event, const std::string& text) {
        parts_.log.write({level, event, name, text}, now.mono);
    };
    const MacAddress mac = std::exchange(macs_[id], port.mac);
    const uint16_t mtu_bytes = std::exchange(mtus_bytes_[id], port.mtu_bytes);
    bool changed = mac != port.mac || mtu_bytes != port.mtu_bytes;
    if (mtu_bytes != port.mtu_bytes)
        log(Log::Level::warning, "port-mtu",
            "the MTU is " + std::to_string(port.mtu_bytes) + " now, as that of its interface");
    if (std::exchange(rebinds_[id], port.rebinds) != port.rebinds)
        log(Log::Level::info, "port-bound", "stands on " + port.device + " from now on");
    if (std::exchange(offload_repairs_[id], port.offload_repairs) != port.offload_repairs)
        log(Log::Level::warning, "offloads-off",
            "somebody switched GRO or LRO of " + port.device + " on; it is off again");
    const bool up = port.link == LinkState::up;
    if (up != (down_since_ns_[id] == 0)) {
        changed = true;
        down_since_ns_[id] = up ? 0 : now.wall_ns;
        log(up ? Log::Level::info : Log::Level::warning, up ? "link-up" : "link-down",
            up                     ? "link is up"
            : port.problem.empty() ? "link is down"
                                   : "link is down: " + port.problem);
    }
    return changed;
}

void Gateway::settle(const Now& now) {
    const Time time = now.mono;
    // An answer may free messages, and messages may need answers; both get less each time.
    for (auto events = next_hops_.settle(time); !events.empty(); events = next_hops_.settle(time)) {
        for (const Neighbors::Event& event : events)
            links_.on_neighbor(event, time);
    }
    sessions_.carry_out(now);
    if (mesh_) {
        answer_forwarded_handshakes(now);
        if (mesh_->take_routes_changed())
            publish_routes();
    }
    next_hops_.settle(time);
    if (next_hops_.take_changed()) {
        builder_.set_neighbors(next_hops_.table().resolved());
        snapshot_stale_ = true;
    }
    routes_stale_ = site_routers_.take_changed() || routes_stale_;
    if (routes_stale_ && time - routes_published_ >= routes_interval_)
        publish_learned(time);
    if (snapshot_stale_ && time - published_ >= kPublishInterval)
        publish(time);
    parts_.dataplane.reclaim();
}

}  // namespace meshgate::control
