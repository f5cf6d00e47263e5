// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/api/fake_state.h"

#include <algorithm>

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
    status.readiness = Readiness::ready;
    status.public_key = test_key(1);
    status.listen_port = 51820;
    status.http = "127.0.0.1:9586";
    status.peers_up = 1;
    status.peers_total = 2;
    status.sessions = 1;
    status.clients_up = 4;
    status.routes = 3;
    for (const RouteKind kind : {RouteKind::connected, RouteKind::gateway, RouteKind::peer})
        status.routes_of_kind[static_cast<size_t>(kind)] = 1;
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
    alice.path = PathKind::direct;
    alice.via = "wan0";
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
    munich.endpoint_name = "gw.munich.example.net:51820";
    munich.public_key = test_key(3);
    munich.allowed_ips = {*parse_prefix("10.2.0.0/16")};
    return {alice, munich};
}

std::vector<RouteView> fake_routes() {
    RouteView lan;
    lan.prefix = *parse_prefix("10.1.0.0/24");
    lan.kind = RouteKind::connected;
    lan.port = "lan0";
    lan.origin = RouteView::Origin::address;
    RouteView behind;
    behind.prefix = *parse_prefix("10.1.8.0/21");
    behind.kind = RouteKind::gateway;
    behind.port = "lan0";
    behind.next_hop = *parse_address("10.1.0.254");
    behind.origin = RouteView::Origin::routes;
    RouteView munich;
    munich.prefix = *parse_prefix("10.2.0.0/16");
    munich.kind = RouteKind::peer;
    munich.peer = "munich";
    munich.origin = RouteView::Origin::allowed_ips;
    return {lan, behind, munich};
}

std::vector<PortStatusView> fake_ports() {
    PortStatusView wan;
    wan.name = "wan0";
    wan.device = "af_packet:eth0";
    wan.driver = "net_af_packet";
    wan.role = PortStatusView::Role::wan;
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
    lan.role = PortStatusView::Role::lan;
    lan.up = false;
    lan.vlan = 10;
    lan.gateway = {};
    lan.twin = "lan0";
    lan.to_host_packets = 6;
    lan.from_host_packets = 5;
    wan.problem = "interface eth0 is down: `ip link set eth0 up`";
    wan.kernel_addresses = {"198.51.100.2/24 on eth0"};
    return {wan, lan};
}

DropsView fake_drops() {
    DropsView view;
    view.drops = {{"bad_tag", "open", "the packet was forged or damaged", 3},
                  {"no_route", "route", "no route to the destination", 0}};
    view.punts = {{"handshake", 7}, {"arp", 2}};
    view.conservation = {.rx = 100,
                         .injected = 10,
                         .from_host = 4,
                         .originated = 1,
                         .tx = 99,
                         .to_host = 4,
                         .drops = 3,
                         .punts = 9};
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

std::vector<LinkView> fake_links() {
    LinkView up;
    up.peer = "vienna";
    up.port = "wan0";
    up.remote = *parse_endpoint("192.0.2.44:51820");
    up.state = LinkView::State::up;
    up.in_use = true;
    up.rtt_p50_ms = 9.12345;
    up.jitter_ms = 0.4;
    up.loss = 0.0125;
    up.cost = 105;
    up.age_s = 0.16;
    up.probe_interval_ms = 200;
    up.origin = LinkView::Origin::network_file;
    LinkView down;
    down.peer = "leipzig";
    down.port = "wan1";
    down.remote = *parse_endpoint("[2001:db8::7]:51820");
    down.state = LinkView::State::down;
    down.metered = true;
    down.loss = 1;
    down.probe_interval_ms = 4000;
    down.origin = LinkView::Origin::candidate;
    return {up, down};
}

std::vector<MeshPathView> fake_paths() {
    MeshPathView direct;
    direct.peer = "vienna";
    direct.kind = PathKind::direct;
    direct.port = "wan0";
    direct.remote = *parse_endpoint("192.0.2.44:51820");
    direct.metric = 105;
    direct.since_s = 3700;
    direct.mtu_bytes = 1420;
    direct.session = SessionState::up;
    MeshPathView relayed;
    relayed.peer = "leipzig";
    relayed.kind = PathKind::relay;
    relayed.port = "wan0";
    relayed.relay = "vienna";
    relayed.remote = direct.remote;
    relayed.metric = 210;
    relayed.since_s = 12;
    relayed.mtu_bytes = 1420;
    relayed.mtu_origin = MtuOrigin::probe;
    relayed.session = SessionState::up;
    MeshPathView none;
    none.peer = "hamburg";
    return {direct, relayed, none};
}

std::vector<MemberView> fake_members() {
    MemberView self;
    self.name = "berlin";
    self.public_key = test_key(1);
    self.node_address = *parse_address("fd08:fe4a:69ab::1");
    self.self = true;
    self.prefixes = {*parse_prefix("10.1.0.0/16")};
    self.tags = {"office"};
    self.state = MemberView::State::self;
    self.network_version = 12;
    MemberView vienna;
    vienna.name = "vienna";
    vienna.public_key = test_key(4);
    vienna.node_address = *parse_address("fd08:fe4a:69ab::4");
    vienna.relay = true;
    vienna.prefixes = {*parse_prefix("10.4.0.0/16")};
    vienna.endpoints = {"192.0.2.44:51820", "vienna.example.net:51820"};
    vienna.state = MemberView::State::up;
    vienna.network_version = 11;
    MemberView hamburg;
    hamburg.name = "hamburg";
    hamburg.public_key = test_key(5);
    hamburg.node_address = *parse_address("fd08:fe4a:69ab::5");
    hamburg.state = MemberView::State::down;
    return {self, vienna, hamburg};
}

std::vector<RelayView> fake_relays() {
    RelayView serving;
    serving.role = RelayView::Role::serving;
    serving.from = "hamburg";
    serving.to = "vienna";
    serving.index = 0x2a01f3;
    serving.state = RelayView::State::open;
    serving.expires_s = 171.5;
    RelayView used = serving;
    used.role = RelayView::Role::using_;
    used.from = "berlin";
    used.to = "leipzig";
    used.via = "vienna";
    used.state = RelayView::State::asking;
    return {serving, used};
}

BabelView fake_babel() {
    BabelNeighborView neighbor;
    neighbor.address = *parse_address("fe80::7");
    neighbor.up = true;
    neighbor.hello_interval_ms = 4000;
    neighbor.loss = 0.0125;
    neighbor.rtt_p50_ms = 0.4567;
    neighbor.jitter_ms = 0.1;
    neighbor.rxcost = neighbor.txcost = neighbor.cost = 96;
    neighbor.age_s = 1.25;
    neighbor.routes = 3;
    BabelPlaceView lan;
    lan.name = "lan0";
    lan.kind = BabelPlaceView::Kind::port;
    lan.address = *parse_address("fe80::1");
    lan.authenticated = true;
    lan.prefixes_refused = 2;
    lan.last_refused = *parse_prefix("10.2.0.0/16");
    lan.last_reason = "it is member munich's";
    lan.neighbors.push_back(neighbor);
    BabelPlaceView alice;
    alice.name = "alice";
    alice.kind = BabelPlaceView::Kind::peer;
    alice.address = *parse_address("fe80::2");
    BabelView view;
    view.router_id = "0123456789abcdef";
    view.seqno = 7;
    view.routes = 3;
    view.unreachable = 1;
    view.places = {lan, alice};
    view.refused = {{"member", 2}};
    view.counters = {{"packets_sent", 12}};
    return view;
}

ExplainView fake_explain() {
    using Cure = ExplainView::Cure;
    ExplainView view;
    view.verdict = ExplainView::Verdict::relayed;
    view.rtt_ms = 21.4;
    view.relays = {{.name = "vienna", .metric = 210},
                   {.name = "graz\x1b[2J", .to_all = true, .avoided = true}};
    view.cause = ExplainView::Cause::never_answered;
    view.cures = {Cure::open_port, Cure::keep_source_port, Cure::use_ipv6};
    view.endpoints = {"192.0.2.7:51820"};
    view.listen_port = 51820;
    view.next_try_s = 12.3;
    return view;
}

}  // namespace

void FakeState::speak_babel() {
    babel_view = fake_babel();
}

void FakeState::join_network() {
    network_view = NetworkView{.name = "acme",
                               .version = 12,
                               .authority = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                               .members = 3,
                               .clients = 1,
                               .others = 2,
                               .others_up = 1,
                               .alarms = 2,
                               .events = {}};
    link_views = fake_links();
    path_views = fake_paths();
    member_views = fake_members();
    relay_views = fake_relays();
    explain_view = fake_explain();
    push_report = {.accepted = true, .version = 13, .errors = {}};
}

std::optional<ExplainView> FakeState::explain(const std::string& peer) {
    const auto path = std::ranges::find(path_views, peer, &MeshPathView::peer);
    if (path == path_views.end())
        return std::nullopt;
    ExplainView view = explain_view;
    view.peer = peer;
    view.path = *path;
    view.links = link_views;
    std::erase_if(view.links, [&](const LinkView& link) { return link.peer != peer; });
    return view;
}

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
