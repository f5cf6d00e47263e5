// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/api_fake_state.h"

namespace meshgate::control {
namespace {

StatusView fake_status() {
    StatusView status;
    status.name = "berlin";
    status.version = "0.1.0";
    status.uptime_s = 93784;
    status.config_file = "/etc/meshgate/meshgate.yaml";
    status.config_applied_unix_s = 1700000000;
    status.last_reload_unix_s = 1700000000;
    status.ready = true;
    status.public_key = test_key(1);
    status.listen_port = 51820;
    status.peers_up = 1;
    status.peers_total = 2;
    status.sessions = 1;
    status.routes = 3;
    status.handshakes = {{"completed", 7}, {"bad_mac1", 2}};
    status.aead_engine = "ipsec-mb/avx512";
    status.aead_reason = "fastest that passed the self-test";
    status.memory = "256 MiB in hugepages";
    status.workers = 1;
    status.mbufs_in_use = 600;
    status.mbufs_total = 32768;
    return status;
}

std::vector<PeerView> fake_peers() {
    PeerView alice;
    alice.name = "alice-laptop";
    alice.public_key = test_key(2);
    alice.has_preshared_key = true;
    alice.endpoint = parse_endpoint("192.0.2.7:51820");
    alice.path = "direct wan0";
    alice.allowed_ips = {*parse_prefix("10.9.0.2/32"), *parse_prefix("fd10:9::2/128")};
    alice.latest_handshake_unix_s = 1700000100;
    alice.latest_handshake_ns = 500;
    alice.session = SessionState::up;
    alice.rx_packets = 10;
    alice.rx_bytes = 1480;
    alice.tx_packets = 20;
    alice.tx_bytes = 2960;
    alice.persistent_keepalive_s = 25;
    alice.mtu_bytes = 1440;
    alice.handshakes = {.initiations_sent = 1, .initiations_received = 3, .completed = 3};
    PeerView munich;
    munich.name = "munich";
    munich.public_key = test_key(3);
    munich.allowed_ips = {*parse_prefix("10.2.0.0/16")};
    return {alice, munich};
}

std::vector<RouteView> fake_routes() {
    RouteView lan;
    lan.prefix = *parse_prefix("10.1.0.0/24");
    lan.kind = "connected";
    lan.port = "lan0";
    lan.origin = "address";
    RouteView behind;
    behind.prefix = *parse_prefix("10.1.8.0/21");
    behind.kind = "gateway";
    behind.port = "lan0";
    behind.next_hop = *parse_address("10.1.0.254");
    behind.origin = "routes";
    RouteView munich;
    munich.prefix = *parse_prefix("10.2.0.0/16");
    munich.kind = "peer";
    munich.peer = "munich";
    munich.origin = "allowed_ips";
    return {lan, behind, munich};
}

std::vector<PortStatusView> fake_ports() {
    PortStatusView wan;
    wan.name = "wan0";
    wan.device = "af_packet:eth0";
    wan.driver = "net_af_packet";
    wan.role = "wan";
    wan.up = true;
    wan.link_changes = 1;
    wan.mac = *parse_mac("02:00:00:00:00:01");
    wan.mtu_bytes = 1500;
    wan.addresses = {*parse_prefix("198.51.100.2/24")};
    wan.gateway = *parse_address("198.51.100.1");
    wan.rx_queues = wan.tx_queues = 1;
    wan.offloads = {"rss"};
    wan.rx_packets = 30;
    wan.rx_bytes = 4000;
    wan.tx_packets = 20;
    wan.tx_bytes = 3000;
    PortStatusView lan = wan;
    lan.name = "lan0";
    lan.device = "tap:mg0";
    lan.role = "lan";
    lan.up = false;
    lan.vlan = 10;
    lan.gateway = {};
    return {wan, lan};
}

DropsView fake_drops() {
    DropsView view;
    view.drops = {{"bad_tag", "open", "the packet was forged or damaged", 3},
                  {"no_route", "route", "no route to the destination", 0}};
    view.punts = {{"handshake", 7}, {"arp", 2}};
    view.conservation = {
        .rx = 100, .injected = 10, .originated = 1, .tx = 99, .drops = 3, .punts = 9};
    return view;
}

std::vector<WorkerView> fake_workers() {
    WorkerView worker;
    worker.core = 2;
    worker.turns = 1000;
    worker.sleeps = 5;
    worker.busy_cycles = 400;
    worker.idle_cycles = 600;
    worker.busy_ratio = 0.38;
    worker.rx_packets = 100;
    worker.tx_packets = 99;
    worker.stages = {{"rx", 10, 100, 2000}, {"open", 4, 50, 30000}, {"route", 0, 0, 0}};
    return {worker};
}

}  // namespace

FakeState::FakeState()
    : status_view{fake_status()},
      peer_views{fake_peers()},
      route_views{fake_routes()},
      port_views{fake_ports()},
      drops_view{fake_drops()},
      worker_views{fake_workers()} {
    reload_report.outcome = ReloadOutcome::applied;
    reload_report.changes = {"+ peers[bob]"};
}

PublicKey test_key(uint8_t fill) {
    PublicKey key;
    key.bytes.fill(fill);
    return key;
}

}  // namespace meshgate::control
