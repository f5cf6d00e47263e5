// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/keys.h"
#include "base/protocol_numbers.h"
#include "control/wireguard/timings.h"
#include "dataplane/api/keypair.h"

namespace meshgate::wireguard {

// Where a message came from and the address of ours that it hit; or where one shall go and from
// which address of ours. `local` and `port` are opaque here: they are handed back as they came.
struct Addressing {
    Endpoint remote{};
    Endpoint local{};            // family none: the caller's routing chooses
    uint16_t port = UINT16_MAX;  // PortId, kNoPort: the caller's routing chooses

    bool operator==(const Addressing&) const = default;
};

// Stands for a peer that the caller finds paths to itself, by routing: it never roams, its
// initiations go to this address, and responses to where the initiation came from.
struct NodeAddress {
    IpAddress address;

    bool operator==(const NodeAddress&) const = default;
};

using Location = std::variant<Addressing, NodeAddress>;

struct PeerOptions {
    PublicKey public_key;
    SecretKey preshared_key;  // all zero: none
    // An endpoint follows authenticated packets (W39), a node address stays.
    std::optional<std::variant<Endpoint, NodeAddress>> endpoint;
    uint16_t persistent_keepalive_s = 0;  // 0: off
};

// What the packet path last did for a peer, in monotonic nanoseconds; 0 is never. The timers count
// from these times, not from the moment they are reported.
struct Activity {
    uint64_t last_data_rx_ns = 0;  // authenticated and not empty
    uint64_t last_data_tx_ns = 0;
    uint64_t last_any_rx_ns = 0;  // authenticated, keepalives included
    uint64_t last_any_tx_ns = 0;
    uint64_t send_counter = 0;  // of the keypair that the last UseForSending named
};

// One handshake message, ready to be sent.
struct Message {
    static constexpr size_t kMaxLen = kInitiationLen;  // the longest handshake message

    std::array<uint8_t, kMaxLen> bytes{};
    size_t len = 0;

    std::span<const uint8_t> view() const noexcept { return {bytes.data(), len}; }
};

// ---- what the caller has to do, in this order ----

constexpr uint8_t kHandshakeTos = 0x88;  // AF41, not ECN capable (W41)

struct SendMessage {
    PeerId peer = kNoPeer;  // kNoPeer: a cookie reply, its receiver is not authenticated
    Message message;
    Addressing to;
    uint8_t tos = kHandshakeTos;
};

// The same, for a peer that the caller routes to.
struct RouteMessage {
    PeerId peer = kNoPeer;
    Message message;
    NodeAddress to;
};

// Enter a keypair under its local index. Comes before the response that lets the peer use it.
struct InstallKeypair {
    enum class Slot : uint8_t {
        current,  // we are the initiator; UseForSending follows
        next,     // we are the responder: receive only, until on_confirmed() (W27)
    };

    PeerId peer = kNoPeer;
    uint32_t local_index = 0;
    uint32_t remote_index = 0;  // host byte order
    SecretKey send_key;
    SecretKey receive_key;
    Initiator initiator = Initiator::us;
    Slot slot = Slot::next;
    Location from;  // of the handshake message that completed it
    uint64_t created_ns = 0;
    uint64_t reject_after_ns = 0;
};

struct UseForSending {
    PeerId peer = kNoPeer;
    uint32_t local_index = 0;
};

// No keypair may send for the peer any more; what it received under stays (virtual machine fork).
struct StopSending {
    PeerId peer = kNoPeer;
};

// Take the keypair out of the index table, and out of use for sending, and wipe it.
struct RemoveKeypair {
    PeerId peer = kNoPeer;
    uint32_t local_index = 0;
};

struct SendKeepalive {
    PeerId peer = kNoPeer;
};

// A session can send now: send what waited.
struct FlushStaged {
    PeerId peer = kNoPeer;
    // Set where we are the initiator: when nothing waited, send a keepalive, which lets the
    // responder use the session (W27).
    bool keepalive_if_none = false;
};

// The handshake was given up, or the peer removed: drop what waited.
struct PurgeStaged {
    PeerId peer = kNoPeer;
};

// The peer's datagrams go here from now on. `local` unset: choose the source address afresh.
struct EndpointChanged {
    PeerId peer = kNoPeer;
    Addressing to;
};

// Our private key became this peer's (W13): it is gone from the device.
struct PeerRemoved {
    PeerId peer = kNoPeer;
};

using Action = std::variant<SendMessage, RouteMessage, InstallKeypair, UseForSending, StopSending,
                            RemoveKeypair, SendKeepalive, FlushStaged, PurgeStaged, EndpointChanged,
                            PeerRemoved>;

// ---- what can be seen ----

// Fates of handshake messages; the name is the metric label.
enum class HandshakeEvent : uint8_t {
    // sent
    initiation_sent,
    response_sent,
    cookie_reply_sent,
    // received and accepted
    initiation_received,
    response_received,
    cookie_reply_received,
    // results
    completed,  // a session became usable
    given_up,   // no answer to the last initiation
    // received and dropped
    bad_length,  // type and length do not match (W01)
    bad_mac1,
    bad_mac2,      // under load; answered by a cookie reply
    rate_limited,  // under load, its address is over the rate
    unknown_peer,
    bad_tag,              // an AEAD of the handshake did not verify, or a DH gave zero
    replayed_initiation,  // its timestamp was seen before
    timestamp_in_past,    // older than one seen: a replay, or the peer's clock went back
    initiation_flood,     // within 20 ms of the last one accepted (W16)
    stale_response,       // to no initiation of ours that waits (W09)
    stale_cookie_reply,   // to no message of ours, or a second one (W21)
    device_down,
    nb_events,
};
constexpr size_t kNbHandshakeEvents = static_cast<size_t>(HandshakeEvent::nb_events);
const char* to_string(HandshakeEvent event) noexcept;
// Whether a message with this fate was for another device than this, by its mac1 or its index.
bool is_for_another(HandshakeEvent fate) noexcept;

using HandshakeCounters = std::array<uint64_t, kNbHandshakeEvents>;

enum class SessionState : uint8_t {
    none,
    handshaking,  // an initiation of ours waits for its answer, nothing to send with
    established,  // there is a current keypair
};
const char* to_string(SessionState state) noexcept;

struct PeerView {
    PublicKey public_key;
    bool has_preshared_key = false;
    bool usable_key = true;              // false: a low-order public key, never answered (W08)
    std::optional<Addressing> endpoint;  // none: unknown yet, or a node address
    uint16_t persistent_keepalive_s = 0;
    SessionState session = SessionState::none;
    bool handshake_in_progress = false;  // also true while an established session rekeys
    unsigned initiations_of_attempt = 0;
    uint64_t last_handshake_wall_ns = 0;  // 0: never
    uint32_t current_local_index = 0;     // valid when established
    uint64_t current_created_ns = 0;
    Initiator current_initiator = Initiator::us;
    std::array<uint8_t, 12> greatest_timestamp{};  // of the peer's initiations; zero: none
    HandshakeCounters counters{};                  // those that name a peer
};

enum class PeerRefused : uint8_t {
    own_key,        // the public key is ours (W13)
    duplicate_key,  // another peer has it
    duplicate_id,
};

using FillRandom = std::function<void(std::span<uint8_t>)>;

struct DeviceOptions {
    Timings timings;
    // Receiver indices of peer p end in the bits of worker p % nb_workers.
    unsigned nb_workers = 1;
    // Called just before a timer of the peer fires, so that traffic of the last instants counts.
    // May be empty: then only on_activity() tells.
    std::function<Activity(PeerId)> sample_activity;
    // Empty: libsodium's, which waits until the kernel has seeded it (W11). Tests pass their own.
    FillRandom fill_random;
};

// The WireGuard interface without its packets: identity, peers, handshakes, cookies and timers.
// Sans-I/O: bytes and time go in, actions come out. One thread; no clock, no socket, no global.
//
// After every call, or after a batch of calls, drain() the actions and carry them out in order.
class Device {
public:
    explicit Device(DeviceOptions options);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    // ---- configuration ----
    // Clamps. Clears all sessions and handshakes when the key differs; removes the peer that has
    // this key (PeerRemoved).
    void set_private_key(SecretKey private_key, Now now);
    const PublicKey& public_key() const noexcept;

    // `id` is the caller's: the slot of the dataplane's peer table.
    tl::expected<void, PeerRefused> add_peer(PeerId id, PeerOptions options, Now now);
    // Replaces preshared key, keepalive and policy, and the endpoint if one is given; the public
    // key must be the same. The session stays.
    void update_peer(PeerId id, PeerOptions options, Now now);
    // Emits RemoveKeypair and PurgeStaged. Unknown ids are ignored, here and below.
    void remove_peer(PeerId id, Now now);
    // What its name stands for now.
    void set_endpoint(PeerId id, const Endpoint& endpoint);
    std::optional<PeerId> find_peer(const PublicKey& public_key) const;

    // A device starts down: it answers nobody. Coming up sends to peers with persistent keepalive.
    void up(Now now);
    // Forgets every session and handshake.
    void down(Now now);
    // The same without going down: before the machine sleeps.
    void clear_sessions(Now now);
    // This machine may run twice: no key that could have sent may send again (T10).
    void on_vm_fork(Now now);

    // Own timestamps stay above this one (TAI64N by wall time): the mark of an earlier run.
    void raise_timestamp_floor(uint64_t wall_ns) noexcept;
    // The greatest sent so far, to be kept on disk; 0: none.
    uint64_t greatest_timestamp_sent_ns() const noexcept;

    // ---- events ----
    // A datagram of type 1, 2 or 3. Returns its fate: response_sent, response_received or
    // cookie_reply_received when it was accepted, bad_mac2 when a cookie reply answers it, else why
    // it was dropped. `nb_queued`: handshake messages that wait behind it, which decides whether
    // the device is under load (W22).
    HandshakeEvent receive(std::span<const uint8_t> datagram, const Location& from,
                           size_t nb_queued, Now now);
    // A packet waits for a session. Starts a handshake, or a new one after giving up (W31).
    void on_no_session(PeerId id, Now now);
    // The first packet verified under this keypair (W27).
    void on_confirmed(uint32_t local_index, Now now);
    // Report every 50 to 100 ms for peers that may have moved packets.
    void on_activity(PeerId id, const Activity& activity, Now now);
    // An authenticated data packet came from elsewhere (W39).
    void on_endpoint_moved(PeerId id, const Addressing& from, Now now);
    // The keypair could not be installed (index taken, table full): forgets it.
    void on_install_failed(uint32_t local_index, Now now);
    // Runs due timers, a bounded number per call.
    void tick(Now now);
    // When tick() has something to do, monotonic; may lie in the past; kNeverNs.
    uint64_t next_deadline() const noexcept;

    // Appends what is to be done and forgets it.
    void drain(std::vector<Action>& actions);

    // ---- views ----
    std::optional<PeerView> peer_view(PeerId id) const;
    const HandshakeCounters& counters() const noexcept;
    bool under_load(Now now) const noexcept;
    const Timings& timings() const noexcept;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace meshgate::wireguard
