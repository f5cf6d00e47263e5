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
// Packets that wait for anything may hold this part of the pool.
constexpr size_t kPoolShare = 4;

}  // namespace

Gateway::Gateway(Parts parts, config::Model model)
    : parts_{std::move(parts)},
      model_{std::move(model)},
      running_ports_{model_.ports, parts_.log},
      packet_budget_{.max = parts_.dataplane.options().nb_mbufs / kPoolShare},
      device_{device_options()},
      next_hops_{parts_.dataplane, packet_budget_, parts_.log},
      ports_{parts_.dataplane, parts_.log, model_.ports.size()},
      listen_ports_{model_.wireguard.listen_port},
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
      echo_prober_{{.dataplane = parts_.dataplane,
                    .links = links_,
                    .log = parts_.log,
                    .name_of = [this](PeerId peer) { return name_of(peer); }}},
      site_routers_{
          {.dataplane = parts_.dataplane,
           .neighbors = next_hops_.table(),
           .log = parts_.log,
           .fill_random =
               [](std::span<uint8_t> bytes) { randombytes_buf(bytes.data(), bytes.size()); },
           .mark = router_mark()}},
      publisher_{parts_.dataplane, parts_.clock},
      handshakes_{parts_.dataplane},
      echo_{parts_.dataplane} {}

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
    gateway->device_.set_private_key(std::move(secrets.private_key), now);
    gateway->publish_listen_ports(now.mono);
    gateway->publish_ports(now.mono);
    for (const config::Peer& peer : present.peers) {
        if (!peer.enabled)
            continue;
        if (auto added = gateway->add_peer(peer, secrets, now); !added)
            return within("peer " + peer.name, added.error());
    }
    if (gateway->parts_.network != nullptr)
        gateway->make_mesh(now);
    gateway->set_site_routers(std::move(secrets.mac_keys), now.mono);
    gateway->publish_routes();
    gateway->publisher_.publish(now.mono);
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
            return handshakes_.push(packet);
        case Punt::arp:
        case Punt::neighbor_discovery:
            return next_hops_.receive(info.port, packet.bytes(), time);
        case Punt::icmp_to_us:
            if (info.peer != kNoPeer && echo_prober_.receive(info.peer, packet.bytes()))
                return;
            if (info.peer != kNoPeer)
                return echo_.answer_peer(std::move(packet), time);
            return echo_.answer_port(std::move(packet), identity_of(info.port), time);
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

void Gateway::answer_handshakes() {
    if (handshakes_.empty())
        return;
    handshakes_.begin_turn();
    const uint64_t start_ns = now().mono_ns();
    while (!handshakes_.empty()) {
        const Now now = this->now();
        if (now.mono_ns() - start_ns > kHandshakeBudgetNs)
            return;
        const auto queued = handshakes_.pop();
        const auto fate = device_.receive(queued.view(), queued.from, handshakes_.load(), now);
        if (mesh_ && is_for_another(fate))
            mesh_->on_handshake_for_another(queued.view(), queued.from, now);
        sessions_.carry_out(now);
    }
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
    if (listen_ports_.tick(now.mono))
        publish_listen_ports(now.mono);
    settle(now);
}

Time Gateway::next_deadline() const noexcept {
    Time deadline =
        std::min({next_hops_.next_deadline(), links_.next_deadline(), site_routers_.next_deadline(),
                  listen_ports_.next_deadline(), publisher_.next_deadline()});
    const uint64_t device_ns = device_.next_deadline();
    if (device_ns != wireguard::kNeverNs)
        deadline = std::min(deadline, Time{std::chrono::nanoseconds{device_ns}});
    if (mesh_)
        deadline = std::min(deadline, mesh_->next_deadline());
    return deadline;
}

void Gateway::sample() {
    const Now now = this->now();
    sessions_.sample(now);
    echo_prober_.tick(now.mono);
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
    const auto changed = ports_.watch(model_.ports, now);
    if (!changed.empty()) {
        publish_ports(now.mono);
        set_site_routers({}, now.mono);
    }
    for (const PortId port : changed) {  // with the port's present MAC address
        if (ports_.is_up(port))
            next_hops_.link_up(port, now.mono);
    }
    settle(now);
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
    if (next_hops_.take_changed())
        publisher_.set_neighbors(next_hops_.table().resolved());
    if (site_routers_.take_changed())
        publisher_.on_learned_changed();
    publisher_.settle([this] { return site_routers_.routes(); }, time);
    parts_.dataplane.reclaim();
}

}  // namespace meshgate::control
