// SPDX-License-Identifier: Apache-2.0
#include "control/api/metrics.h"

#include <algorithm>
#include <sstream>

#include "control/api/metrics_writer.h"

namespace meshgate::control {
namespace {

using namespace metrics;

void write_box(const Writer& writer, const StatusView& status) {
    writer.gauge("meshgate_build_info", "Version of the daemon and name of the box.")
        .add({{"version", status.version}, {"node", status.name}}, 1);
    writer.gauge("meshgate_aead_info", "The AEAD engine in use.")
        .add({{"engine", status.aead_engine}}, 1);
    writer.single("meshgate_uptime_seconds", "Seconds since the daemon started.", status.uptime_s);
    writer.single(
        "meshgate_ready",
        "1 when packets are forwarded; 0 while starting, leaving or when a worker stalls.",
        status.readiness == Readiness::ready ? 1 : 0);
    writer.single("meshgate_peers", "Peers of the box file and other members of the network.",
                  status.peers_total);
    writer.single("meshgate_peers_up", "Of meshgate_peers, those with a session.", status.peers_up);
    writer.single("meshgate_clients_up",
                  "Clients of the network file that have a session with this box.",
                  status.clients_up);
    writer.single("meshgate_problems", "Things that need attention, as `meshgate status` lists.",
                  status.problems.size());
    writer.single("meshgate_config_applied_timestamp_seconds",
                  "When the configuration in force was applied.", status.config_applied_unix_s);
    writer.single("meshgate_config_last_reload_success", "1 when the last reload was accepted.",
                  status.last_reload_ok ? 1 : 0);
    writer.single("meshgate_config_last_reload_timestamp_seconds", "When a reload was last tried.",
                  status.last_reload_unix_s);
    writer.single("meshgate_keys_used_twice", "Peers whose key two machines use now.",
                  status.keys_used_twice);
    writer.single("meshgate_sessions", "Keypairs in the receiver-index table.", status.sessions);
    writer
        .counter("meshgate_vm_forks_total",
                 "Times that this virtual machine was copied or went back to a snapshot.")
        .add({}, status.vm_forks);
    writer.single("meshgate_mempool_mbufs", "Packet buffers of the box.", status.mbufs_total);
    writer.single("meshgate_mempool_available", "Packet buffers that are free.",
                  status.mbufs_total - std::min(status.mbufs_in_use, status.mbufs_total));
    writer.each_counter(
        "meshgate_handshake_messages_total", "Handshake messages by what became of them.",
        status.handshakes,
        [](const ResultCount& r) {
            return Labels{{"result", r.result}};
        },
        [](const ResultCount& r) { return r.count; });
}

Labels peer_label(const PeerView& peer) {
    return {{"peer", peer.name}};
}

void write_peer_traffic(const Writer& writer, const std::vector<PeerView>& peers) {
    writer.each_counter("meshgate_peer_receive_bytes_total",
                        "Bytes of WireGuard datagrams from the peer.", peers, peer_label,
                        [](const PeerView& p) { return p.rx_bytes; });
    writer.each_counter("meshgate_peer_transmit_bytes_total",
                        "Bytes of WireGuard datagrams to the peer.", peers, peer_label,
                        [](const PeerView& p) { return p.tx_bytes; });
    writer.each_counter("meshgate_peer_receive_packets_total", "WireGuard datagrams from the peer.",
                        peers, peer_label, [](const PeerView& p) { return p.rx_packets; });
    writer.each_counter("meshgate_peer_transmit_packets_total", "WireGuard datagrams to the peer.",
                        peers, peer_label, [](const PeerView& p) { return p.tx_packets; });
}

void write_peer_handshakes(const Writer& writer, const std::vector<PeerView>& peers) {
    Family family = writer.counter("meshgate_peer_handshakes_total",
                                   "Handshakes with the peer by what became of them.");
    for (const PeerView& peer : peers) {
        const HandshakeCounts& counts = peer.handshakes;
        family.add({{"peer", peer.name}, {"result", "initiated"}}, counts.initiations_sent);
        family.add({{"peer", peer.name}, {"result", "answered"}}, counts.initiations_received);
        family.add({{"peer", peer.name}, {"result", "completed"}}, counts.completed);
        family.add({{"peer", peer.name}, {"result", "given_up"}}, counts.given_up);
    }
}

void write_peers(const Writer& writer, const std::vector<PeerView>& peers) {
    writer.each_gauge(
        "meshgate_peer_info", "The public key behind a peer's name.", peers,
        [](const PeerView& p) {
            return Labels{{"peer", p.name}, {"public_key", to_string(p.public_key)}};
        },
        [](const PeerView&) { return 1; });
    writer.each_gauge("meshgate_peer_up", "1 when there is a session with the peer.", peers,
                      peer_label,
                      [](const PeerView& p) { return p.session == SessionState::up ? 1 : 0; });
    write_peer_traffic(writer, peers);
    writer.each_gauge("meshgate_peer_last_handshake_timestamp_seconds",
                      "When the last handshake with the peer was completed; 0 is never.", peers,
                      peer_label, [](const PeerView& p) { return p.latest_handshake_unix_s; });
    write_peer_handshakes(writer, peers);
    writer.each_gauge("meshgate_peer_mtu_bytes", "Largest inner packet on the peer's path.", peers,
                      peer_label, [](const PeerView& p) { return p.mtu_bytes; });
}

void write_drops(const Writer& writer, const DropsView& drops) {
    writer.each_counter(
        "meshgate_drops_total", "Packets dropped, by reason.", drops.drops,
        [](const DropView& d) {
            return Labels{{"reason", d.reason}, {"stage", d.stage}};
        },
        [](const DropView& d) { return d.total; });
    writer.each_counter(
        "meshgate_punts_total", "Packets given to the control thread, by reason.", drops.punts,
        [](const ResultCount& p) {
            return Labels{{"reason", p.result}};
        },
        [](const ResultCount& p) { return p.count; });
}

void write_ports(const Writer& writer, const std::vector<PortStatusView>& ports) {
    using Port = PortStatusView;
    const auto label = [](const Port& p) { return Labels{{"port", p.name}}; };
    const auto counter = [&](const char* name, const char* help, uint64_t Port::*field) {
        writer.each_counter(name, help, ports, label, [=](const Port& p) { return p.*field; });
    };
    writer.each_gauge(
        "meshgate_port_info", "Device, driver and role of a port.", ports,
        [](const Port& p) {
            return Labels{{"port", p.name},
                          {"device", p.device},
                          {"driver", p.driver},
                          {"role", to_string(p.role)}};
        },
        [](const Port&) { return 1; });
    writer.each_gauge("meshgate_port_up", "1 when the port has a link.", ports, label,
                      [](const Port& p) { return p.up ? 1 : 0; });
    counter("meshgate_port_link_changes_total", "Times the link went up or down.",
            &Port::link_changes);
    counter("meshgate_port_receive_bytes_total", "Bytes received.", &Port::rx_bytes);
    counter("meshgate_port_receive_packets_total", "Packets received.", &Port::rx_packets);
    counter("meshgate_port_transmit_bytes_total", "Bytes sent.", &Port::tx_bytes);
    counter("meshgate_port_transmit_packets_total", "Packets sent.", &Port::tx_packets);
    counter("meshgate_port_receive_missed_total",
            "Packets that the device dropped because no worker took them in time.",
            &Port::rx_missed);
    counter("meshgate_port_receive_errors_total", "Packets received broken.", &Port::rx_errors);
    counter("meshgate_port_receive_nombuf_total",
            "Packets that the driver dropped because no packet buffer was free.", &Port::rx_nombuf);
    counter("meshgate_port_transmit_errors_total", "Packets that the device failed to send.",
            &Port::tx_errors);
    counter("meshgate_port_rebinds_total",
            "Times that the interface of the port came late, or went and came back.",
            &Port::rebinds);
    counter("meshgate_port_offload_repairs_total",
            "Times that others switched GRO or LRO of the interface on.", &Port::offload_repairs);
    writer.each_gauge("meshgate_port_problem",
                      "1 when something is wrong with what the port stands on.", ports, label,
                      [](const Port& p) { return p.problem.empty() ? 0 : 1; });
    writer.each_gauge("meshgate_port_kernel_shut_out",
                      "1 when the machine's kernel takes no frame of the port.", ports, label,
                      [](const Port& p) { return p.kernel_shut_out ? 1 : 0; });
    writer.each_gauge("meshgate_port_kernel_addresses",
                      "Addresses of the port that the machine's kernel has too.", ports, label,
                      [](const Port& p) { return p.kernel_addresses.size(); });
    counter("meshgate_port_to_host_packets_total",
            "Packets that the machine's kernel took on the twin of the port.",
            &Port::to_host_packets);
    counter("meshgate_port_from_host_packets_total",
            "Packets that the machine's kernel sent on the twin of the port.",
            &Port::from_host_packets);
    counter("meshgate_port_kernel_repairs_total",
            "Times that the kernel could take frames of the port again, and was kept from it.",
            &Port::kernel_repairs);
}

void write_stages(const Writer& writer, const std::vector<WorkerView>& workers) {
    const auto counter = [&](const char* name, const char* help, uint64_t StageView::*field) {
        Family family = writer.counter(name, help);
        for (const WorkerView& worker : workers) {
            for (const StageView& stage : worker.stages)
                family.add({{"worker", std::to_string(worker.id)}, {"stage", stage.stage}},
                           stage.*field);
        }
    };
    counter("meshgate_stage_batches_total", "Bursts that a stage handled.", &StageView::batches);
    counter("meshgate_stage_packets_total", "Packets that a stage handled.", &StageView::packets);
    counter("meshgate_stage_cycles_total", "Clock cycles spent in a stage.", &StageView::cycles);
}

void write_workers(const Writer& writer, const std::vector<WorkerView>& workers) {
    const auto counter = [&](const char* name, const char* help, uint64_t WorkerView::*field) {
        writer.each_counter(
            name, help, workers,
            [](const WorkerView& w) {
                return Labels{{"worker", std::to_string(w.id)}};
            },
            [=](const WorkerView& w) { return w.*field; });
    };
    counter("meshgate_worker_busy_cycles_total", "Clock cycles of turns that found packets.",
            &WorkerView::busy_cycles);
    counter("meshgate_worker_idle_cycles_total", "Clock cycles of turns that found none.",
            &WorkerView::idle_cycles);
    counter("meshgate_worker_turns_total", "Turns of the worker's loop.", &WorkerView::turns);
    counter("meshgate_worker_sleeps_total", "Times the worker went to sleep.", &WorkerView::sleeps);
    counter("meshgate_worker_receive_packets_total", "Packets the worker took from ports.",
            &WorkerView::rx_packets);
    counter("meshgate_worker_transmit_packets_total", "Packets the worker gave to ports.",
            &WorkerView::tx_packets);
    counter("meshgate_worker_handover_packets_total", "Packets given to another worker.",
            &WorkerView::handover_out_packets);
    write_stages(writer, workers);
}

void write_routes(const Writer& writer, const StatusView& status) {
    Family family = writer.gauge("meshgate_routes", "Routes in force, by kind.");
    for (size_t i = 0; i < status.routes_of_kind.size(); ++i) {
        if (status.routes_of_kind[i] > 0)
            family.add({{"kind", to_string(static_cast<RouteKind>(i))}}, status.routes_of_kind[i]);
    }
}

}  // namespace

std::string metrics_text(StateProvider& state) {
    std::ostringstream out;
    const Writer writer{out};
    std::vector<PeerView> peers = state.peers();
    std::erase_if(peers, [](const PeerView& peer) { return !peer.enabled; });
    const StatusView status = state.status();
    write_box(writer, status);
    write_peers(writer, peers);
    write_peer_paths(writer, peers, state.paths());
    write_routes(writer, status);
    write_drops(writer, state.drops());
    write_ports(writer, state.ports());
    write_workers(writer, state.workers());
    write_babel(writer, state.babel());
    write_mesh(writer, state);
    return out.str();
}

}  // namespace meshgate::control
