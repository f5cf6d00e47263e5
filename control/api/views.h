// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/keys.h"

namespace meshgate::control {

// What the API shows. Plain copies made on the control thread when somebody asks; no field ever
// holds a secret. Names are those of the box file. Times are seconds since 1970, 0 is never.

// How often something ended in one way; `result` becomes a metric label ("bad_mac1").
struct ResultCount {
    std::string result;
    uint64_t count = 0;
};

struct StatusView {
    std::string name;
    std::string version;
    uint64_t uptime_s = 0;
    std::string config_file;
    int64_t config_applied_unix_s = 0;  // the configuration that is in force
    int64_t last_reload_unix_s = 0;     // the last attempt
    bool last_reload_ok = true;
    // Each a sentence for the operator: "wan0  link is down since 09:12". Empty: healthy.
    std::vector<std::string> problems;
    bool ready = false;  // ports are open and the first snapshot is published

    PublicKey public_key;
    uint16_t listen_port = 0;
    size_t peers_up = 0;  // with a session
    size_t peers_total = 0;
    size_t sessions = 0;  // keypairs in the index table
    size_t routes = 0;
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
};
const char* to_string(SessionState state) noexcept;

// Box-to-peer handshakes of one peer.
struct HandshakeCounts {
    uint64_t initiations_sent = 0;
    uint64_t initiations_received = 0;  // authentic ones
    uint64_t completed = 0;             // a keypair came of it, either role
    uint64_t given_up = 0;              // REKEY_ATTEMPT_TIME passed without an answer
};

struct PeerView {
    std::string name;
    PublicKey public_key;
    bool has_preshared_key = false;
    std::optional<Endpoint> endpoint;
    std::string path = "none";  // "direct wan0" or "none"
    std::vector<Prefix> allowed_ips;
    int64_t latest_handshake_unix_s = 0;
    uint32_t latest_handshake_ns = 0;
    SessionState session = SessionState::none;
    uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;  // as `wg show` counts
    uint16_t persistent_keepalive_s = 0;                                  // 0: off
    uint16_t mtu_bytes = 0;  // largest inner packet on the present path; 0: no path
    HandshakeCounts handshakes;
};

struct RouteView {
    Prefix prefix;
    std::string kind;    // "local", "connected", "gateway", "peer", "blackhole"
    std::string peer;    // kind peer: its name
    std::string port;    // local, connected, gateway: the port's name
    IpAddress next_hop;  // kind gateway
    std::string origin;  // where it comes from: "address", "routes", "allowed_ips"
};

// One port of the box; not the dataplane's PortView, which is what packets see.
struct PortStatusView {
    std::string name;
    std::string device;  // "af_packet:eth0"
    std::string driver;  // "net_af_packet"
    std::string role;    // "wan" or "lan"
    bool up = false;
    uint64_t link_changes = 0;
    MacAddress mac;
    uint16_t vlan = 0;  // 0: untagged
    uint16_t mtu_bytes = 0;
    std::vector<Prefix> addresses;
    IpAddress gateway;  // Family::none: no gateway
    unsigned rx_queues = 0, tx_queues = 0;
    std::vector<std::string> offloads;  // "rss", "tx-checksum", "vlan-strip"
    uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
    uint64_t rx_missed = 0, rx_errors = 0, rx_nombuf = 0, tx_errors = 0;
    // The machine's kernel beside us: does it take no frame of the port, how often was that seen to
    // again, and which addresses of the port does it have too.
    bool kernel_shut_out = true;
    uint64_t kernel_repairs = 0;
    std::vector<std::string> kernel_addresses;  // "10.1.0.1/24 on lan0"
};

struct DropView {
    std::string reason;
    std::string stage;
    std::string help;  // one sentence
    uint64_t total = 0;
};

// Sums over workers and control. rx + injected + originated = tx + drops + punts, up to what is in
// flight at the moment of reading.
struct ConservationView {
    uint64_t rx = 0, injected = 0, originated = 0;
    uint64_t tx = 0, drops = 0, punts = 0;
};

struct DropsView {
    std::vector<DropView> drops;     // every reason, also those never seen
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
    std::string name;  // of the port or peer
    std::string kind;  // "port", "peer"
    bool up = true;    // the port's link
    IpAddress address;
    bool authenticated = false;
    uint64_t prefixes_refused = 0;
    std::optional<Prefix> last_refused;
    std::string last_reason;
    std::vector<BabelNeighborView> neighbors;
};

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
    std::string authority;  // base64
    size_t members = 0, clients = 0;
    uint64_t alarms = 0;              // announcements and files that members had no right to
    std::vector<ResultCount> events;  // of the protocols between boxes: "relay_opens_accepted"
};

// A direct way to a member: one of our wan ports and one of its endpoints.
struct LinkView {
    std::string peer;
    std::string port;
    Endpoint remote;
    std::string state;  // "up", "down", "probing"
    bool in_use = false;
    bool metered = false;
    std::optional<double> rtt_p50_ms, jitter_ms;
    double loss = 0;        // 0..1
    uint16_t cost = 65535;  // 65535: infinite
    double age_s = -1;      // since something was heard; below 0: never
    uint32_t probe_interval_ms = 0;
    std::string origin;  // "network file", "seen", "candidate"
};

// How a member's datagrams travel now.
struct MeshPathView {
    std::string peer;
    std::string kind;   // "direct", "relay", "none"
    std::string port;   // by which it leaves; empty: none
    std::string relay;  // kind relay: its name
    Endpoint remote;
    uint16_t metric = 65535;  // 65535: unreachable
    double since_s = 0;       // how long it has been so
    uint16_t mtu_bytes = 0;   // largest inner packet; 0: no path
    SessionState session = SessionState::none;
};

struct MemberView {
    std::string name;
    PublicKey public_key;
    IpAddress node_address;
    bool self = false, relay = false;
    std::vector<Prefix> prefixes;
    std::vector<std::string> endpoints;
    std::vector<std::string> tags;
    std::string state;             // "self", "up", "idle", "down"
    uint64_t network_version = 0;  // what it says it has; 0: unknown
};

// An entry of a relay's table, seen from the relay or from who uses it.
struct RelayView {
    std::string role;  // "serving", "using"
    std::string from, to;
    uint32_t index = 0;  // the receiver index that is forwarded
    std::string via;     // the next box, where it is not `to` itself
    std::string state;
    double expires_s = 0;
};

// Why a member's packets go where they go.
struct ExplainView {
    std::string peer;
    std::vector<std::string> lines;  // sentences
};

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
};
const char* to_string(ReloadOutcome outcome) noexcept;

struct ReloadReport {
    ReloadOutcome outcome = ReloadOutcome::refused;
    std::vector<std::string> changes;        // "+ peer bob-laptop", "~ peers[1].allowed_ips ..."
    std::vector<std::string> needs_restart;  // "dataplane.workers 1 -> 2"
    std::vector<std::string> errors;         // each as `meshgate check` prints it
};

}  // namespace meshgate::control
