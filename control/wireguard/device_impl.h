// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/wireguard/cookie.h"
#include "control/wireguard/device.h"
#include "control/wireguard/noise.h"
#include "control/wireguard/peer.h"
#include "control/wireguard/rate_limit.h"
#include "control/wireguard/receiver_indices.h"

namespace meshgate::wireguard {

constexpr size_t kUnderLoadQueued = 512;                   // an eighth of a queue of 4096 (W22)
constexpr uint64_t kUnderLoadLasts = kNsPerSecond;         // after the queue was that long (W22)
constexpr uint64_t kInitiationMinGap = kNsPerSecond / 50;  // per peer, accepted (W16)
constexpr size_t kMaxPeersPerTick = 256;                   // peers whose timers run in one turn

// What the three parts of the device share: device.cc (configuration, views), handshakes.cc
// (messages in and out), sessions.cc (keypairs, traffic and timers).
class Device::Impl {
public:
    explicit Impl(DeviceOptions given);

    // ---- device.cc ----
    void set_private_key(SecretKey private_key, Now now);
    tl::expected<void, PeerRefused> add_peer(PeerId id, PeerOptions&& given, Now now);
    void update_peer(PeerId id, PeerOptions&& given, Now now);
    void remove_peer(PeerId id);
    void up(Now now);
    void down();
    void clear_sessions();
    void restart_persistent_keepalives(Now now);
    void on_vm_fork();
    std::optional<PeerView> view(PeerId id) const;

    // ---- handshakes.cc ----
    HandshakeEvent receive(std::span<const uint8_t> datagram, const Location& from,
                           size_t nb_queued, Now now);
    // A fresh attempt counts its initiations anew; a retransmission goes on counting (W31).
    enum class Attempt : uint8_t { fresh, retransmission };
    void initiate(Peer& peer, Attempt attempt, Now now);

    // ---- sessions.cc ----
    void on_activity(Peer& peer, const Activity& activity, Now now);
    void on_confirmed(uint32_t local_index, Now now);
    void on_endpoint_moved(Peer& peer, const Addressing& from);
    void on_install_failed(uint32_t local_index, Now now);
    void set_endpoint(Peer& peer, const Addressing& to);
    void tick(Now now);
    uint64_t next_deadline() const noexcept;

    Peer* find(PeerId id) const;
    // Enters the peer's earliest deadline into the queue; after everything that moves a timer.
    void reschedule(Peer& peer);

    DeviceOptions options;
    std::optional<Identity> identity;
    PublicKey public_key;
    std::vector<Action> actions;
    HandshakeCounters counters{};
    Timestamp timestamp_floor;
    Timestamp greatest_timestamp_sent;
    uint64_t under_load_until_ns = 0;
    std::unordered_map<PeerId, std::unique_ptr<Peer>> peers;

    struct KeyHasher {
        std::array<uint8_t, 16> key;  // random: nobody chooses our collisions
        size_t operator()(const PublicKey& public_key) const noexcept;
    };
    std::unordered_map<PublicKey, PeerId, KeyHasher> peers_by_key;

private:
    // device.cc
    void apply_options(Peer& peer, PeerOptions&& given, Now now);
    void adopt_identity(Peer& peer);
    void erase_peer(Peer& peer);

    // handshakes.cc
    // Nothing: the message goes on. Else why it does not; the same for is_stale().
    template <typename M>
    std::optional<HandshakeEvent> refused(const M& message, const Location& from, Now now);
    HandshakeEvent receive_initiation(const InitiationMessage& message, const Location& from,
                                      Now now);
    std::optional<HandshakeEvent> is_stale(Peer& peer, const Timestamp& timestamp, Now now);
    HandshakeEvent respond(Peer& peer, const ReceivedInitiation& received, const Location& from,
                           Now now);
    HandshakeEvent receive_response(const ResponseMessage& message, const Location& from, Now now);
    HandshakeEvent receive_cookie_reply(const CookieReplyMessage& message, Now now);
    void send_cookie_reply(std::span<const uint8_t> message, uint32_t receiver_index,
                           const Location& to, Now now);
    void send_initiation(Peer& peer, Now now);
    template <typename M>
    void send_handshake(Peer& peer, M& message, const Location& to, Now now);
    void send(PeerId peer, const Message& message, const Location& to);
    Timestamp next_timestamp(Peer& peer, Now now);
    void forget_initiation(Peer& peer);

    // sessions.cc
    void begin_session(Peer& peer, InstallKeypair&& install, Now now);
    void complete(Peer& peer, Now now);
    void give_up(Peer& peer, Now now);
    void fire(Peer& peer, Timer timer, uint64_t due_ns, Now now);
    void send_keepalive(Peer& peer, Now now);
    bool can_send(const Peer& peer, Now now) const noexcept;
    void rekey_on_send(Peer& peer, uint64_t sent_ns, Now now);
    void rekey_on_receive(Peer& peer, uint64_t received_ns, Now now);
    void remove_keypairs(Peer& peer, const KeypairSlots::Displaced& local_indices);
    void watch_expiry(Peer& peer);
    void clear_sessions_of(Peer& peer);

    void roam(Peer& peer, const Location& from);
    void forget_source(Peer& peer);
    HandshakeEvent count(HandshakeEvent event, Peer* peer = nullptr);
    uint64_t jitter_ns();
    SecretKey ephemeral_key();

    RateLimiter limiter_;
    CookieChecker cookie_checker_;
    ReceiverIndices indices_;
    std::set<std::pair<uint64_t, PeerId>> deadlines_;
    bool up_ = false;
};

}  // namespace meshgate::wireguard
