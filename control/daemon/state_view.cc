// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/state_view.h"

#include <algorithm>

#include "base/protocol_numbers.h"

namespace meshgate::control {

namespace {

using wireguard::HandshakeEvent;

int64_t seconds(uint64_t ns) noexcept {
    return static_cast<int64_t>(ns / kNsPerSecond);
}

uint64_t count_of(const wireguard::HandshakeCounters& counters, HandshakeEvent event) noexcept {
    return counters[static_cast<size_t>(event)];
}

RouteKind kind_of(ForwardKind kind) noexcept {
    switch (kind) {
        case ForwardKind::local:
            return RouteKind::local;
        case ForwardKind::connected:
            return RouteKind::connected;
        case ForwardKind::gateway:
            return RouteKind::gateway;
        case ForwardKind::peer:
            return RouteKind::peer;
        case ForwardKind::blackhole:
            return RouteKind::blackhole;
        case ForwardKind::broadcast:
            return RouteKind::broadcast;
        case ForwardKind::no_route:
            break;
    }
    return RouteKind::none;
}

RouteView::Origin origin_of(RouteOrigin origin) noexcept {
    switch (origin) {
        case RouteOrigin::network:
        case RouteOrigin::address:
            return RouteView::Origin::address;
        case RouteOrigin::routes:
            return RouteView::Origin::routes;
        case RouteOrigin::network_file:
            return RouteView::Origin::network_file;
        case RouteOrigin::allowed_ips:
            return RouteView::Origin::allowed_ips;
        case RouteOrigin::babel:
            return RouteView::Origin::babel;
        case RouteOrigin::built_in:
            break;
    }
    return RouteView::Origin::built_in;
}

template <typename T>
size_t nb_disabled(const std::vector<T>& entries) {
    return static_cast<size_t>(std::ranges::count(entries, false, &T::enabled));
}

// A row per stage in which the reason was met; one of zero where it never was.
void add_drops(DropsView& view, const std::vector<const WorkerCounters*>& all, Drop reason) {
    const size_t nb_before = view.drops.size();
    for (size_t i = 0; i < kNbStages; ++i) {
        const auto stage = static_cast<Stage>(i);
        uint64_t total = 0;
        for (const WorkerCounters* counters : all)
            total += counters->drops.get(reason, stage);
        if (total == 0)
            continue;
        view.drops.push_back({to_string(reason), to_string(stage), help_for(reason), total});
        if (stage != Stage::control)
            view.conservation.drops += total;
    }
    if (view.drops.size() == nb_before)
        view.drops.push_back(
            {to_string(reason), to_string(usual_stage(reason)), help_for(reason), 0});
}

SessionState session_of(const wireguard::PeerView& peer,
                        const std::optional<SendingKeypair>& sending, uint64_t tsc_now) noexcept {
    if (sending)
        return tsc_now < sending->reject_after_tsc ? SessionState::up : SessionState::expired;
    if (peer.session == wireguard::SessionState::handshaking || peer.handshake_in_progress)
        return SessionState::handshaking;
    return peer.last_handshake_wall_ns == 0 ? SessionState::none : SessionState::expired;
}

VmForkNotice notice_of(VmGeneration::Support support) noexcept {
    switch (support) {
        case VmGeneration::Support::told:
            return VmForkNotice::told;
        case VmGeneration::Support::kernel_silent:
            return VmForkNotice::kernel_silent;
        case VmGeneration::Support::no_socket:
            return VmForkNotice::no_socket;
        case VmGeneration::Support::no_device:
            break;
    }
    return VmForkNotice::no_device;
}

// How long a fork stands among the problems: who copies a machine on purpose looks soon after.
constexpr auto kForkTold = std::chrono::minutes{10};

const char* where_from(Copied copied) noexcept {
    switch (copied) {
        case Copied::from_machine:
            return "from another machine";
        case Copied::from_hardware:
            return "with its machine";
        case Copied::from_folder:
        case Copied::no:
            break;
    }
    return "from another folder";
}

}  // namespace

StateView::StateView(Gateway& gateway, Reload& reload, const HostInterfaces& host, Copies copies)
    : gateway_{gateway},
      reload_{reload},
      host_{host},
      copies_{copies},
      started_ns_{gateway.now().mono_ns()},
      loads_(gateway.dataplane().options().nb_workers) {}

// ---- status ----

StatusView StateView::status() {
    const Dataplane& dataplane = gateway_.dataplane();
    const config::Model& model = gateway_.model();
    const Now now = gateway_.now();
    StatusView view;
    view.name = model.node.name;
    view.version = MESHGATE_VERSION;
    view.uptime_s = (now.mono_ns() - started_ns_) / kNsPerSecond;
    view.config_file = reload_.path();
    view.config_applied_unix_s = seconds(reload_.applied_ns());
    view.last_reload_unix_s = seconds(reload_.last_attempt_ns());
    view.last_reload_ok = reload_.last_ok();
    view.problems = problems();
    view.readiness = readiness();
    view.public_key = gateway_.device().public_key();
    view.listen_port = model.wireguard.listen_port;
    view.http = model.control.http ? to_string(*model.control.http) : "";
    const mesh::Mesh* mesh = gateway_.mesh();
    view.ports_disabled = nb_disabled(model.ports);
    view.peers_disabled = nb_disabled(model.peers);
    view.routes_disabled = nb_disabled(model.routes);
    view.peers_total = model.peers.size() - view.peers_disabled +
                       (mesh == nullptr ? 0 : mesh->members().all().size());
    view.peers_up = gateway_.sessions().nb_up().peers;
    view.clients_up = gateway_.sessions().nb_up().clients;
    view.keys_used_twice = gateway_.sessions().endpoint_conflicts(now.mono).size();
    view.sessions = gateway_.sessions().nb_keypairs();
    for (size_t i = 0; i < gateway_.nb_routes().size(); ++i) {
        const size_t nb_routes = gateway_.nb_routes()[i];
        view.routes += nb_routes;
        view.routes_of_kind[static_cast<size_t>(kind_of(static_cast<ForwardKind>(i)))] += nb_routes;
    }
    for (size_t i = 0; i < wireguard::kNbHandshakeEvents; ++i)
        view.handshakes.push_back({wireguard::to_string(static_cast<HandshakeEvent>(i)),
                                   gateway_.device().counters()[i]});
    view.vm_forks = gateway_.vm_forks().total;
    view.vm_fork_notice = notice_of(copies_.generation);
    view.aead_engine = dataplane.aead_engine();
    view.aead_reason = dataplane.aead_reason();
    view.memory = dataplane.memory_description();
    view.workers = dataplane.options().nb_workers;
    view.mbufs_in_use = dataplane.mbufs_in_use();
    view.mbufs_total = dataplane.options().nb_mbufs;
    return view;
}

Readiness StateView::readiness() const {
    switch (gateway_.phase()) {
        case Gateway::Phase::starting:
            return Readiness::starting;
        case Gateway::Phase::leaving:
            return Readiness::leaving;
        case Gateway::Phase::running:
            break;
    }
    return workers_alive_ ? Readiness::ready : Readiness::workers_stalled;
}

void StateView::add_copy_problems(std::vector<std::string>& result) const {
    const Gateway::Forks& forks = gateway_.vm_forks();
    const auto age = gateway_.now().mono - forks.last;
    if (forks.total > 0 && age < kForkTold)
        result.push_back(
            "this machine was copied or went back to a snapshot " +
            std::to_string(std::chrono::duration_cast<std::chrono::seconds>(age).count()) +
            " s ago, all sessions were made anew; a copy that keeps running needs a key of its "
            "own");
    if (copies_.folder != Copied::no)
        result.push_back(
            "the state folder was copied here " + std::string{where_from(copies_.folder)} +
            ", with the key of this box: where the original runs too, one of both needs "
            "a key of its own");
}

std::vector<std::string> StateView::problems() const {
    std::vector<std::string> result;
    const Now now = gateway_.now();
    add_port_problems(result);
    add_copy_problems(result);
    if (gateway_.mesh() != nullptr)
        std::ranges::move(gateway_.mesh()->views().problems(now), std::back_inserter(result));
    for (const std::string& host : gateway_.unresolved())
        result.push_back("name " + host +
                         " does not resolve: look at the name, and at this machine's name server "
                         "(`getent ahosts " +
                         host + "`)");
    for (const auto& conflict : gateway_.sessions().endpoint_conflicts(now.mono))
        result.push_back("peer " + gateway_.name_of(conflict.peer) +
                         "  two machines use its key, at " + to_string(conflict.one) + " and " +
                         to_string(conflict.other) + ": give each a key of its own");
    if (!reload_.last_ok())
        result.emplace_back("the last reload was refused, the configuration before it is in force");
    if (gateway_.device().under_load(now))
        result.emplace_back("under a flood of handshakes, strangers must prove their address");
    return result;
}

// ---- peers ----

PeerView StateView::view_of(const config::Peer& peer) const {
    PeerView view;
    view.name = peer.name;
    view.enabled = peer.enabled;
    view.endpoint_name = peer.endpoint_name ? to_string(*peer.endpoint_name) : "";
    view.public_key = peer.public_key;
    view.allowed_ips = peer.allowed_ips;
    view.persistent_keepalive_s = peer.persistent_keepalive_s;
    const auto id = gateway_.device().find_peer(peer.public_key);
    const auto known = id ? gateway_.device().peer_view(*id) : std::nullopt;
    if (!known)
        return view;
    view.has_preshared_key = known->has_preshared_key;
    if (known->endpoint)
        view.endpoint = known->endpoint->remote;
    view.latest_handshake_unix_s = seconds(known->last_handshake_wall_ns);
    view.latest_handshake_ns = static_cast<uint32_t>(known->last_handshake_wall_ns % kNsPerSecond);
    view.handshakes = {
        .initiations_sent = count_of(known->counters, HandshakeEvent::initiation_sent),
        .initiations_received = count_of(known->counters, HandshakeEvent::initiation_received),
        .completed = count_of(known->counters, HandshakeEvent::completed),
        .given_up = count_of(known->counters, HandshakeEvent::given_up)};
    Dataplane& dataplane = gateway_.dataplane();
    view.session = session_of(*known, dataplane.sending(*id), dataplane.tsc_now());
    const Dataplane::Activity activity = dataplane.activity(*id);
    view.rx_packets = activity.rx_packets;
    view.tx_packets = activity.tx_packets;
    // `wg show` counts handshakes too (W05).
    view.rx_bytes =
        activity.rx_bytes + kInitiationLen * view.handshakes.initiations_received +
        kResponseLen * count_of(known->counters, HandshakeEvent::response_received) +
        kCookieReplyLen * count_of(known->counters, HandshakeEvent::cookie_reply_received);
    view.tx_bytes = activity.tx_bytes + kInitiationLen * view.handshakes.initiations_sent +
                    kResponseLen * count_of(known->counters, HandshakeEvent::response_sent);
    if (const auto path = gateway_.links().path_of(*id)) {
        view.path = PathKind::direct;
        view.via = gateway_.model().ports[path->port].name;
        view.mtu_bytes = path->mtu_bytes == 0 ? uint16_t{0} : dataplane.path_mtu(*id);
        if (view.mtu_bytes < path->mtu_bytes)
            view.mtu_origin = MtuOrigin::probe;
        else if (path->mtu_is_told)
            view.mtu_origin = MtuOrigin::router;
    }
    if (gateway_.mesh() != nullptr && gateway_.mesh()->members().of(*id) != nullptr)
        add_mesh_path(view, *id);
    return view;
}

std::vector<PeerView> StateView::peers() {
    std::vector<PeerView> result;
    result.reserve(gateway_.model().peers.size());
    for (const config::Peer& peer : gateway_.model().peers)
        result.push_back(view_of(peer));
    if (gateway_.mesh() == nullptr)
        return result;
    for (const config::Member& member : gateway_.mesh()->members().network().members) {
        config::Peer peer;
        peer.name = member.name;
        peer.public_key = member.public_key;
        peer.allowed_ips = member.prefixes;
        if (peer.public_key != gateway_.model().node.public_key)
            result.push_back(view_of(peer));
    }
    return result;
}

// ---- routes, drops, workers ----

// What is built in stays out: it says nothing about this box.
std::vector<RouteView> StateView::routes() {
    std::vector<RouteView> result;
    const auto& ports = gateway_.model().ports;
    for (const RibRoute& route : gateway_.routes()) {
        if (route.origin == RouteOrigin::built_in)
            continue;
        RouteView view;
        view.prefix = route.prefix;
        view.kind = kind_of(route.entry.kind);
        view.origin = origin_of(route.origin);
        if (route.entry.kind == ForwardKind::peer)
            view.peer = gateway_.name_of(route.entry.peer);
        if (route.entry.port < ports.size())
            view.port = ports[route.entry.port].name;
        view.next_hop = route.entry.next_hop;
        result.push_back(std::move(view));
    }
    for (const config::Route& route : gateway_.model().routes) {
        if (route.enabled)
            continue;
        RouteView& view = result.emplace_back();
        view.prefix = route.prefix;
        view.enabled = false;
        view.kind = route.via ? RouteKind::gateway : RouteKind::blackhole;
        view.next_hop = route.via.value_or(IpAddress{});
        view.origin = RouteView::Origin::routes;
    }
    std::ranges::stable_sort(result, {}, &RouteView::prefix);
    return result;
}

// What control dropped was given to it as a punt before, or was its own: it stands among the
// reasons, but not in the balance of the workers.
DropsView StateView::drops() {
    Dataplane& dataplane = gateway_.dataplane();
    std::vector<const WorkerCounters*> all{&dataplane.control_counters()};
    std::array<uint64_t, kNbPunts> punts{};
    DropsView view;
    for (unsigned worker = 0; worker < dataplane.options().nb_workers; ++worker) {
        const WorkerCounters& counters = dataplane.counters(worker);
        all.push_back(&counters);
        for (size_t i = 0; i < kNbPunts; ++i)
            punts[i] += counters.punts[i].get();
        view.conservation.rx += counters.rx_packets.get();
        view.conservation.injected += counters.injected_packets.get();
        view.conservation.originated += counters.originated_packets.get();
        view.conservation.tx += counters.tx_packets.get();
    }
    if (const WorkerCounters* host = dataplane.host_counters(); host != nullptr) {
        all.push_back(host);
        view.conservation.from_host = host->from_host_packets.get();
        view.conservation.to_host = host->to_host_packets.get();
    }
    for (size_t i = 0; i < kNbDrops; ++i)
        add_drops(view, all, static_cast<Drop>(i));
    for (size_t i = 0; i < kNbPunts; ++i) {
        view.conservation.punts += punts[i];
        view.punts.push_back({to_string(static_cast<Punt>(i)), punts[i]});
    }
    return view;
}

void StateView::sample_workers() {
    const Dataplane& dataplane = gateway_.dataplane();
    const uint64_t tsc = dataplane.tsc_now();
    workers_alive_ = true;
    for (unsigned i = 0; i < loads_.size(); ++i) {
        const WorkerCounters& counters = dataplane.counters(i);
        Load& load = loads_[i];
        const bool first = load.tsc == 0;
        const uint64_t turns = counters.turns.get();
        const uint64_t busy_cycles = counters.busy_cycles.get();
        const uint64_t elapsed = tsc - load.tsc;
        if (!first && elapsed != 0)
            load.ratio = std::min(1.0, static_cast<double>(busy_cycles - load.busy_cycles) /
                                           static_cast<double>(elapsed));
        workers_alive_ &= first || turns != load.turns || dataplane.worker_status(i).asleep;
        load.busy_cycles = busy_cycles;
        load.turns = turns;
        load.tsc = tsc;
    }
}

std::vector<WorkerView> StateView::workers() {
    std::vector<WorkerView> result;
    for (unsigned i = 0; i < loads_.size(); ++i) {
        const WorkerStatus status = gateway_.dataplane().worker_status(i);
        const WorkerCounters& counters = gateway_.dataplane().counters(i);
        WorkerView view;
        view.id = i;
        view.core = status.core;
        view.asleep = status.asleep;
        view.turns = counters.turns.get();
        view.sleeps = counters.sleeps.get();
        view.busy_cycles = counters.busy_cycles.get();
        view.idle_cycles = counters.idle_cycles.get();
        view.busy_ratio = loads_[i].ratio;
        view.rx_packets = counters.rx_packets.get();
        view.tx_packets = counters.tx_packets.get();
        view.handover_out_packets = counters.handover_out_packets.get();
        view.handover_in_packets = counters.handover_in_packets.get();
        for (size_t s = 0; s < counters.stages.size(); ++s) {
            const StageCounters& stage = counters.stages[s];
            view.stages.push_back({to_string(static_cast<Stage>(s)), stage.batches.get(),
                                   stage.packets.get(), stage.cycles.get()});
        }
        result.push_back(std::move(view));
    }
    return result;
}

}  // namespace meshgate::control
