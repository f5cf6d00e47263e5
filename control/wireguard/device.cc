// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/device.h"

#include <sodium.h>

#include <algorithm>

#include "base/assert.h"
#include "base/names.h"
#include "control/wireguard/device_impl.h"

namespace meshgate::wireguard {

namespace {

FillRandom or_libsodium(FillRandom given) {
    if (given)
        return given;
    return [](std::span<uint8_t> bytes) { randombytes_buf(bytes.data(), bytes.size()); };
}

template <size_t N>
std::array<uint8_t, N> random_bytes(const FillRandom& fill_random) {
    std::array<uint8_t, N> bytes{};
    fill_random(bytes);
    return bytes;
}

SecretKey clamped(SecretKey key) noexcept {
    const std::span<uint8_t, kKeyLen> bytes = key.mutable_bytes();
    bytes[0] &= 248;
    bytes[31] = static_cast<uint8_t>((bytes[31] & 127) | 64);
    return key;
}

// Runs before anything else of the device does: from here on the kernel's random numbers are
// seeded (W11).
DeviceOptions ready(DeviceOptions options) {
    MG_ASSERT(sodium_init() >= 0);
    MG_ASSERT(options.nb_workers >= 1 && options.nb_workers <= (1U << kWorkerBits));
    MG_ASSERT(options.timings.validate());
    options.fill_random = or_libsodium(std::move(options.fill_random));
    return options;
}

}  // namespace

const char* to_string(HandshakeEvent event) noexcept {
    static constexpr auto kNames = names_of<kNbHandshakeEvents>({"initiation_sent",
                                                                 "response_sent",
                                                                 "cookie_reply_sent",
                                                                 "initiation_received",
                                                                 "response_received",
                                                                 "cookie_reply_received",
                                                                 "completed",
                                                                 "given_up",
                                                                 "bad_length",
                                                                 "bad_mac1",
                                                                 "bad_mac2",
                                                                 "rate_limited",
                                                                 "unknown_peer",
                                                                 "bad_tag",
                                                                 "replayed_initiation",
                                                                 "timestamp_in_past",
                                                                 "initiation_flood",
                                                                 "stale_response",
                                                                 "stale_cookie_reply",
                                                                 "device_down"});
    return kNames[static_cast<size_t>(event)];
}

bool is_for_another(HandshakeEvent fate) noexcept {
    return fate == HandshakeEvent::bad_mac1 || fate == HandshakeEvent::stale_response ||
           fate == HandshakeEvent::stale_cookie_reply;
}

const char* to_string(SessionState state) noexcept {
    switch (state) {
        case SessionState::none:
            return "none";
        case SessionState::handshaking:
            return "handshaking";
        case SessionState::established:
            return "established";
    }
    return "unknown";
}

size_t Device::Impl::KeyHasher::operator()(const PublicKey& given) const noexcept {
    uint64_t result = 0;
    crypto_shorthash(reinterpret_cast<uint8_t*>(&result), given.bytes.data(), given.bytes.size(),
                     key.data());
    return result;
}

Device::Impl::Impl(DeviceOptions given)
    : options{ready(std::move(given))},
      peers_by_key{0, KeyHasher{random_bytes<16>(options.fill_random)}},
      limiter_{options.fill_random},
      cookie_checker_{options.fill_random},
      indices_{options.fill_random, options.nb_workers} {}

Peer* Device::Impl::find(PeerId id) const {
    const auto found = peers.find(id);
    return found == peers.end() ? nullptr : found->second.get();
}

void Device::Impl::set_private_key(SecretKey private_key, Now now) {
    const bool removed = private_key.is_zero();
    SecretKey next = clamped(std::move(private_key));
    if (!removed && identity && identity->private_key.equals(next))
        return;
    clear_sessions();
    public_key = removed ? PublicKey{} : public_key_of(next);
    identity.reset();
    if (!removed)
        identity.emplace(Identity{std::move(next), public_key});
    cookie_checker_.set_public_key(public_key);

    if (const auto self = peers_by_key.find(public_key); self != peers_by_key.end()) {
        const PeerId id = self->second;
        erase_peer(*find(id));
        actions.emplace_back(PeerRemoved{id});
    }
    for (const auto& [id, peer] : peers)
        adopt_identity(*peer);
    if (up_)
        up(now);
}

void Device::Impl::adopt_identity(Peer& peer) {
    peer.remote.static_static.wipe();
    peer.usable_key = identity && precompute(peer.remote, *identity);
    if (!peer.usable_key)
        peer.remote.static_static.wipe();
}

tl::expected<void, PeerRefused> Device::Impl::add_peer(PeerId id, PeerOptions&& given, Now now) {
    if (identity && given.public_key == public_key)
        return tl::unexpected{PeerRefused::own_key};
    if (peers_by_key.contains(given.public_key))
        return tl::unexpected{PeerRefused::duplicate_key};
    if (peers.contains(id))
        return tl::unexpected{PeerRefused::duplicate_id};
    peers_by_key.emplace(given.public_key, id);
    Peer& peer = *peers.emplace(id, std::make_unique<Peer>(id, given.public_key, options.timings))
                      .first->second;
    adopt_identity(peer);
    apply_options(peer, std::move(given), now);
    return {};
}

void Device::Impl::update_peer(PeerId id, PeerOptions&& given, Now now) {
    Peer* peer = find(id);
    if (peer == nullptr)
        return;
    MG_ASSERT(given.public_key == peer->remote.public_key);
    apply_options(*peer, std::move(given), now);
}

void Device::Impl::apply_options(Peer& peer, PeerOptions&& given, Now now) {
    peer.remote.preshared_key = std::move(given.preshared_key);
    if (given.endpoint) {
        if (const auto* endpoint = std::get_if<Endpoint>(&*given.endpoint))
            set_endpoint(peer, Addressing{.remote = *endpoint, .local = {}});
        else
            peer.endpoint = std::get<NodeAddress>(*given.endpoint);
    }

    const bool newly_kept_alive =
        given.persistent_keepalive_s != 0 && peer.persistent_keepalive_s == 0;
    peer.persistent_keepalive_s = given.persistent_keepalive_s;
    peer.timers.set_persistent_keepalive(peer.persistent_keepalive_s * kNsPerSecond);
    if (up_ && newly_kept_alive)
        send_keepalive(peer, now);
    reschedule(peer);
}

void Device::Impl::remove_peer(PeerId id) {
    if (Peer* peer = find(id))
        erase_peer(*peer);
}

void Device::Impl::erase_peer(Peer& peer) {
    clear_sessions_of(peer);
    actions.emplace_back(PurgeStaged{peer.id});
    reschedule(peer);  // no timer is left, so it leaves the queue
    peers_by_key.erase(peer.remote.public_key);
    peers.erase(peer.id);
}

void Device::Impl::up(Now now) {
    up_ = true;
    for (const auto& [id, peer] : peers) {
        if (peer->persistent_keepalive_s == 0)
            continue;
        send_keepalive(*peer, now);
        reschedule(*peer);
    }
}

void Device::Impl::down() {
    clear_sessions();
    up_ = false;
}

void Device::Impl::clear_sessions() {
    for (const auto& [id, peer] : peers) {
        clear_sessions_of(*peer);
        reschedule(*peer);
    }
}

void Device::Impl::restart_persistent_keepalives(Now now) {
    if (!up_)
        return;
    for (const auto& [id, peer] : peers) {
        peer->timers.count_persistent_keepalive_from(now.mono_ns());
        reschedule(*peer);
    }
}

// The other instance has the same keypairs and counters. Receiving under `current` and `previous`
// stays safe; `next` might be promoted, hence goes.
void Device::Impl::on_vm_fork() {
    for (const auto& [id, peer] : peers) {
        forget_initiation(*peer);
        peer->timers.disarm(Timer::retransmit);
        peer->last_initiation_sent_ns.reset();
        peer->may_send = false;
        remove_keypairs(*peer, peer->slots.remove_next());
        actions.emplace_back(StopSending{id});
        reschedule(*peer);
    }
}

std::optional<PeerView> Device::Impl::view(PeerId id) const {
    const Peer* peer = find(id);
    if (peer == nullptr)
        return std::nullopt;
    PeerView view;
    view.public_key = peer->remote.public_key;
    view.has_preshared_key = !peer->remote.preshared_key.is_zero();
    view.usable_key = peer->usable_key || !identity;
    if (peer->endpoint && std::holds_alternative<Addressing>(*peer->endpoint))
        view.endpoint = std::get<Addressing>(*peer->endpoint);
    view.persistent_keepalive_s = peer->persistent_keepalive_s;
    view.handshake_in_progress = peer->timers.armed(Timer::retransmit);
    view.initiations_of_attempt = peer->initiations_of_attempt;
    view.last_handshake_wall_ns = peer->last_handshake_wall_ns;
    view.greatest_timestamp = peer->greatest_timestamp.bytes;
    view.counters = peer->counters;
    if (const auto& current = peer->slots.current(); current && peer->may_send) {
        view.session = SessionState::established;
        view.current_local_index = current->local_index;
        view.current_created_ns = current->created_ns;
        view.current_initiator = current->initiator;
    } else if (view.handshake_in_progress) {
        view.session = SessionState::handshaking;
    }
    return view;
}

// ---- the public face ----

Device::Device(DeviceOptions options) : impl_{std::make_unique<Impl>(std::move(options))} {}
Device::~Device() = default;

void Device::set_private_key(SecretKey private_key, Now now) {
    impl_->set_private_key(std::move(private_key), now);
}

const PublicKey& Device::public_key() const noexcept {
    return impl_->public_key;
}

tl::expected<void, PeerRefused> Device::add_peer(PeerId id, PeerOptions options, Now now) {
    return impl_->add_peer(id, std::move(options), now);
}

void Device::update_peer(PeerId id, PeerOptions options, Now now) {
    impl_->update_peer(id, std::move(options), now);
}

void Device::remove_peer(PeerId id, Now) {
    impl_->remove_peer(id);
}

void Device::set_endpoint(PeerId id, const Endpoint& endpoint) {
    if (Peer* peer = impl_->find(id))
        impl_->set_endpoint(*peer, Addressing{.remote = endpoint, .local = {}});
}

std::optional<PeerId> Device::find_peer(const PublicKey& public_key) const {
    const auto found = impl_->peers_by_key.find(public_key);
    if (found == impl_->peers_by_key.end())
        return std::nullopt;
    return found->second;
}

void Device::up(Now now) {
    impl_->up(now);
}

void Device::down(Now) {
    impl_->down();
}

void Device::clear_sessions(Now now) {
    impl_->clear_sessions();
    impl_->restart_persistent_keepalives(now);
}

void Device::on_vm_fork(Now) {
    impl_->on_vm_fork();
}

void Device::raise_timestamp_floor(uint64_t wall_ns) noexcept {
    impl_->timestamp_floor = std::max(impl_->timestamp_floor, Timestamp::from_wall(wall_ns));
}

uint64_t Device::greatest_timestamp_sent_ns() const noexcept {
    return impl_->greatest_timestamp_sent.wall_ns();
}

HandshakeEvent Device::receive(std::span<const uint8_t> datagram, const Location& from,
                               size_t nb_queued, Now now) {
    return impl_->receive(datagram, from, nb_queued, now);
}

void Device::on_no_session(PeerId id, Now now) {
    if (Peer* peer = impl_->find(id)) {
        impl_->initiate(*peer, Impl::Attempt::fresh, now);
        impl_->reschedule(*peer);
    }
}

void Device::on_confirmed(uint32_t local_index, Now now) {
    impl_->on_confirmed(local_index, now);
}

void Device::on_activity(PeerId id, const Activity& activity, Now now) {
    if (Peer* peer = impl_->find(id)) {
        impl_->on_activity(*peer, activity, now);
        impl_->reschedule(*peer);
    }
}

void Device::on_endpoint_moved(PeerId id, const Addressing& from, Now) {
    if (Peer* peer = impl_->find(id))
        impl_->on_endpoint_moved(*peer, from);
}

void Device::on_install_failed(uint32_t local_index, Now now) {
    impl_->on_install_failed(local_index, now);
}

void Device::tick(Now now) {
    impl_->tick(now);
}

uint64_t Device::next_deadline() const noexcept {
    return impl_->next_deadline();
}

void Device::drain(std::vector<Action>& actions) {
    std::move(impl_->actions.begin(), impl_->actions.end(), std::back_inserter(actions));
    impl_->actions.clear();
}

std::optional<PeerView> Device::peer_view(PeerId id) const {
    return impl_->view(id);
}

const HandshakeCounters& Device::counters() const noexcept {
    return impl_->counters;
}

bool Device::under_load(Now now) const noexcept {
    return now.mono_ns() < impl_->under_load_until_ns;
}

const Timings& Device::timings() const noexcept {
    return impl_->options.timings;
}

}  // namespace meshgate::wireguard
