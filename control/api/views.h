// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/keys.h"

namespace meshgate::control {

// What the API shows: enumerations, names of the box file and numbers with their unit; sentences
// are made by who reads it. Plain copies made on the control thread when somebody asks; no field
// ever holds a secret. Times are seconds since 1970, 0 is never. What to_string returns is the name
// in JSON and metrics.

// How often something ended in one way; `result` becomes a metric label ("bad_mac1").
struct ResultCount {
    std::string result;
    uint64_t count = 0;
};

// Whether the box forwards packets, and what keeps it from that.
enum class Readiness : uint8_t {
    ready,     // ports are open, the configuration is in force, every worker turns or sleeps
    starting,  // the first snapshot is not published yet, or workers do not run yet
    leaving,   // asked to stop: others are told to go around us, what is on its way still passes
    workers_stalled,  // some worker has done no turn for a second
    nb_states,
};
const char* to_string(Readiness readiness) noexcept;

// Where a route leads.
enum class RouteKind : uint8_t {
    none,
    local,
    connected,
    gateway,
    peer,
    blackhole,
    broadcast,
    nb_kinds,
};
const char* to_string(RouteKind kind) noexcept;

// Whether a copy of this virtual machine would be noticed at once, or why not.
enum class VmForkNotice : uint8_t {
    told,
    no_device,      // no hypervisor gives the machine a generation id
    kernel_silent,  // the kernel knows, and tells nobody (before Linux 6.8)
    no_socket,
    nb_states,
};
const char* to_string(VmForkNotice notice) noexcept;

struct StatusView {
    std::string name;
    std::string version;
    uint64_t uptime_s = 0;
    std::string config_file;
    int64_t config_applied_unix_s = 0;  // the configuration that is in force
    int64_t last_reload_unix_s = 0;     // the last attempt
    bool last_reload_ok = true;
    // Each a sentence for the operator: "wan0  link is down for 12 s". Empty: healthy.
    std::vector<std::string> problems;
    Readiness readiness = Readiness::starting;

    PublicKey public_key;
    uint16_t listen_port = 0;
    std::string http;  // where metrics and the page are; empty: nowhere
    // Of the box file and members of the network, this box not among them; with a session.
    size_t peers_up = 0;
    size_t peers_total = 0;
    // In the box file, with `enabled: false`.
    size_t ports_disabled = 0, peers_disabled = 0, routes_disabled = 0;
    size_t clients_up = 0;       // clients of the network file that have a session with this box
    size_t keys_used_twice = 0;  // peers whose key two machines use now
    size_t sessions = 0;         // keypairs in the index table
    size_t routes = 0;           // without what is built in
    std::array<size_t, static_cast<size_t>(RouteKind::nb_kinds)> routes_of_kind{};
    uint64_t vm_forks = 0;  // times that this machine was copied or went back to a snapshot
    VmForkNotice vm_fork_notice = VmForkNotice::no_device;
    // Handshake messages of the whole box by what became of them, strangers' included.
    std::vector<ResultCount> handshakes;

    std::string aead_engine;  // "ipsec-mb/avx512"
    std::string aead_reason;
    std::string memory;  // "512 MiB in hugepages"
    unsigned workers = 0;
    unsigned mbufs_in_use = 0;
    unsigned mbufs_total = 0;
};

enum class SessionState : uint8_t {
    none,         // nothing tried lately
    handshaking,  // an initiation is out
    up,           // may send
    expired,      // had a session, too old to send (W30)
    nb_states,
};
const char* to_string(SessionState state) noexcept;

// How datagrams to a peer travel.
enum class PathKind : uint8_t { none, direct, relay, nb_kinds };
const char* to_string(PathKind kind) noexcept;

// How the largest inner packet of a path is known.
enum class MtuOrigin : uint8_t {
    port,    // nothing is known to be narrower than our port
    router,  // one said so, by ICMP
    probe,   // what is larger is not answered
    nb_origins,
};
const char* to_string(MtuOrigin origin) noexcept;

// Box-to-peer handshakes of one peer.
struct HandshakeCounts {
    uint64_t initiations_sent = 0;
    uint64_t initiations_received = 0;  // authentic ones
    uint64_t completed = 0;             // a keypair came of it, either role
    uint64_t given_up = 0;              // REKEY_ATTEMPT_TIME passed without an answer
};

struct PeerView {
    std::string name;
    bool enabled = true;
    PublicKey public_key;
    bool has_preshared_key = false;
    std::optional<Endpoint> endpoint;
    std::string endpoint_name;  // that it comes from: "gw.example.net:51820"; empty: none
    PathKind path = PathKind::none;
    std::string via;  // name of the port (direct) or of the relay
    std::vector<Prefix> allowed_ips;
    int64_t latest_handshake_unix_s = 0;
    uint32_t latest_handshake_ns = 0;
    SessionState session = SessionState::none;
    uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;  // as `wg show` counts
    uint16_t persistent_keepalive_s = 0;                                  // 0: off
    uint16_t mtu_bytes = 0;  // largest inner packet on the present path; 0: no path
    MtuOrigin mtu_origin = MtuOrigin::port;
    HandshakeCounts handshakes;
};

struct RouteView {
    // `address`: a port's address or network; `routes`: the key of the box file.
    enum class Origin : uint8_t {
        address,
        routes,
        network_file,
        allowed_ips,
        babel,
        built_in,
        nb_origins,
    };

    Prefix prefix;
    bool enabled = true;
    RouteKind kind = RouteKind::none;
    std::string peer;    // kind peer: its name
    std::string port;    // local, connected, gateway: the port's name
    IpAddress next_hop;  // kind gateway
    Origin origin = Origin::address;
};
const char* to_string(RouteView::Origin origin) noexcept;

// One port of the box; not the dataplane's PortView, which is what packets see.
struct PortStatusView {
    enum class Role : uint8_t { wan, lan, one_arm, nb_roles };

    std::string name;
    bool enabled = true;
    std::string device;  // "af_packet:eth0"
    std::string driver;  // "net_af_packet"
    Role role = Role::wan;
    bool up = false;
    uint64_t link_changes = 0;
    MacAddress mac;
    uint16_t vlan = 0;     // 0: untagged
    uint8_t priority = 0;  // 802.1p, of the tag
    uint16_t mtu_bytes = 0;
    std::vector<Prefix> addresses;
    IpAddress gateway;  // Family::none: no gateway
    unsigned rx_queues = 0, tx_queues = 0;
    std::vector<std::string> offloads;  // "rss", "tx-checksum", "vlan-strip"
    uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
    uint64_t rx_missed = 0, rx_errors = 0, rx_nombuf = 0, tx_errors = 0;
    // What it stands on: times it came late, or went and came back; times that others switched the
    // joining of packets on; what is wrong with it now, empty: nothing.
    uint64_t rebinds = 0, offload_repairs = 0;
    std::string problem;
    // The machine's kernel beside us: does it take no frame of the port, how often was that seen to
    // again, and which addresses of the port does it have too.
    bool kernel_shut_out = true;
    uint64_t kernel_repairs = 0;
    std::vector<std::string> kernel_addresses;  // "10.1.0.1/24 on lan0"
    std::string twin;  // the kernel's interface that is this port; empty: none
    uint64_t to_host_packets = 0, from_host_packets = 0;
};
const char* to_string(PortStatusView::Role role) noexcept;

struct DropView {
    std::string reason;
    std::string stage;
    std::string help;  // one sentence
    uint64_t total = 0;
};

// Sums over workers and the host thread; what control drops is not in them. rx + injected +
// from_host + originated = tx + to_host + drops + punts, up to what is in flight at the moment of
// reading.
struct ConservationView {
    uint64_t rx = 0, injected = 0, from_host = 0, originated = 0;
    uint64_t tx = 0, to_host = 0, drops = 0, punts = 0;
};

struct DropsView {
    // Every reason, also those never seen; one that several stages know, once for each of them.
    std::vector<DropView> drops;
    std::vector<ResultCount> punts;  // packets given to control, by reason
    ConservationView conservation;
};

struct StageView {
    std::string stage;
    uint64_t batches = 0, packets = 0, cycles = 0;
};

struct WorkerView {
    unsigned id = 0;
    int core = -1;  // -1: floats
    bool asleep = false;
    uint64_t turns = 0, sleeps = 0;
    uint64_t busy_cycles = 0, idle_cycles = 0;
    double busy_ratio = 0;  // 0..1, over the last second or so; not since start
    uint64_t rx_packets = 0, tx_packets = 0;
    uint64_t handover_out_packets = 0, handover_in_packets = 0;
    std::vector<StageView> stages;
};

// A router of another make that Babel is spoken with.
struct BabelNeighborView {
    IpAddress address;  // link-local
    bool up = false;    // hears us, and we hear it
    uint32_t hello_interval_ms = 0;
    double loss = 0;  // of its Hellos, 0..1
    std::optional<double> rtt_p50_ms, jitter_ms;
    uint16_t rxcost = 65535, txcost = 65535, cost = 65535;  // what we tell it, what it tells us
    double age_s = 0;                                       // since it was heard
    size_t routes = 0;
};

// An entry of `babel` in the box file.
struct BabelPlaceView {
    enum class Kind : uint8_t { port, peer, nb_kinds };

    std::string name;  // of the port or peer
    Kind kind = Kind::port;
    bool up = true;  // the port's link
    IpAddress address;
    bool authenticated = false;
    uint64_t prefixes_refused = 0;
    std::optional<Prefix> last_refused;
    std::string last_reason;
    std::vector<BabelNeighborView> neighbors;
};
const char* to_string(BabelPlaceView::Kind kind) noexcept;

struct BabelView {
    std::string router_id;  // hexadecimal
    uint16_t seqno = 0;
    size_t routes = 0;       // learned, reachable
    size_t unreachable = 0;  // lost, and their packets dropped for a while
    std::vector<BabelPlaceView> places;
    std::vector<ResultCount> refused;   // prefixes, by reason: "member"
    std::vector<ResultCount> counters;  // of packets and TLVs, by what became of them
};

// The network that the box is a member of, as it is in force.
struct NetworkView {
    std::string name;
    uint64_t version = 0;
    std::string authority;             // base64
    size_t members = 0, clients = 0;   // in the network file, this box included
    size_t others = 0, others_up = 0;  // members that are other boxes; with a session and a path
    uint64_t alarms = 0;               // announcements and files that members had no right to
    std::vector<ResultCount> events;   // of the protocols between boxes: "relay_opens_accepted"
};

// A direct underlay link to a member: one of our wan ports and one of its endpoints.
struct LinkView {
    enum class State : uint8_t {
        idle,     // not probed
        probing,  // probed, and nothing was heard yet
        down,     // not heard both ways
        up,
        nb_states,
    };
    enum class Origin : uint8_t {
        network_file,
        heard,      // its own probes came from there
        candidate,  // it said that it may be reached there
        nb_origins,
    };

    std::string peer;
    std::string port;
    Endpoint remote;
    State state = State::idle;
    bool in_use = false;
    bool metered = false;
    std::optional<double> rtt_p50_ms, jitter_ms;
    double loss = 0;        // 0..1
    uint16_t cost = 65535;  // 65535: infinite
    double age_s = -1;      // since something was heard; below 0: never
    uint32_t probe_interval_ms = 0;
    Origin origin = Origin::network_file;
};
const char* to_string(LinkView::State state) noexcept;
const char* to_string(LinkView::Origin origin) noexcept;

// How a member's datagrams travel now.
struct MeshPathView {
    std::string peer;
    PathKind kind = PathKind::none;
    std::string port;   // by which it leaves; empty: none
    std::string relay;  // kind relay: its name
    Endpoint remote;
    uint16_t metric = 65535;  // 65535: unreachable
    double since_s = 0;       // how long it has been so
    uint16_t mtu_bytes = 0;   // largest inner packet; 0: no path
    MtuOrigin mtu_origin = MtuOrigin::port;
    SessionState session = SessionState::none;
};

struct MemberView {
    enum class State : uint8_t {
        self,
        up,    // a session and a path
        idle,  // neither side has asked for a session
        down,
        nb_states,
    };

    std::string name;
    PublicKey public_key;
    IpAddress node_address;
    bool self = false, relay = false;
    std::vector<Prefix> prefixes;
    std::vector<std::string> endpoints;
    std::vector<std::string> tags;
    State state = State::down;
    uint64_t network_version = 0;  // what it says it has; 0: unknown
};
const char* to_string(MemberView::State state) noexcept;

// An entry of a relay's table, seen from the relay or from who uses it.
struct RelayView {
    enum class Role : uint8_t { serving, using_, nb_roles };
    enum class State : uint8_t { asking, open, closed, nb_states };

    Role role = Role::serving;
    std::string from, to;
    uint32_t index = 0;  // the receiver index that is forwarded
    std::string via;     // the next box, where it is not `to` itself
    State state = State::closed;
    double expires_s = 0;
};
const char* to_string(RelayView::Role role) noexcept;
const char* to_string(RelayView::State state) noexcept;

// Why a member's packets go where they go, and what would have to change for a better path.
struct ExplainView {
    enum class Verdict : uint8_t {
        self,
        idle,        // nobody talks to it
        no_session,  // no handshake was answered
        no_path,     // a session, but nothing reaches it
        direct,
        relayed,
        nb_verdicts,
    };
    enum class Cause : uint8_t {
        none,
        lowest_metric,        // direct, as it should be
        relay_is_better,      // links work, but cost more
        no_endpoint_known,    // relayed, from here on: why not direct
        no_way_to_endpoints,  // no port of ours has an address of their family
        never_answered,       // no link was ever heard on
        went_silent,          // one was
        box_silent,           // nothing is heard of it by any path
        own_uplink,           // nor of any other member
        nb_causes,
    };
    // What would help, the likeliest first.
    enum class Cure : uint8_t {
        open_port,         // at one of both sites, and name it in the network file
        keep_source_port,  // of a NAT
        use_ipv6,          // on both sides
        check_box,         // is it on, does it run
        check_endpoints,   // the network file's, and the firewall in front of them
        check_own_ports,
        nb_cures,
    };
    // A member that could relay.
    struct Relay {
        std::string name;
        uint16_t metric = 65535;  // 65535: it announces no route any more
        bool to_all = false;      // the route leads to itself; it forwards to all members
        bool avoided = false;     // it forwarded nothing
    };

    std::string peer;
    Verdict verdict = Verdict::idle;
    MeshPathView path;
    std::optional<double> rtt_ms;  // end to end, over relays
    std::vector<LinkView> links;
    std::vector<Relay> relays;
    Cause cause = Cause::none;
    std::vector<Cure> cures;
    std::vector<std::string> endpoints;  // of it, in the network file
    uint16_t listen_port = 0;            // ours
    std::optional<double> next_try_s;    // to find a direct link
};
const char* to_string(ExplainView::Verdict verdict) noexcept;
const char* to_string(ExplainView::Cause cause) noexcept;
const char* to_string(ExplainView::Cure cure) noexcept;

struct NetworkPushReport {
    bool accepted = false;
    uint64_t version = 0;  // in force afterwards; 0: none
    std::vector<std::string> errors;
};

enum class ReloadOutcome : uint8_t {
    applied,
    unchanged,      // the file says what is already in force
    needs_restart,  // valid; live changes are applied, `needs_restart` wait for the next start
    refused,        // nothing was changed, `errors` say why
    nb_outcomes,
};
const char* to_string(ReloadOutcome outcome) noexcept;

struct ReloadReport {
    ReloadOutcome outcome = ReloadOutcome::refused;
    std::vector<std::string> changes;        // as config::Diff words them: "+ peers[bob-laptop]"
    std::vector<std::string> needs_restart;  // "dataplane.workers 1 -> 2"
    std::vector<std::string> errors;         // each as `meshgate check` prints it
};

}  // namespace meshgate::control
