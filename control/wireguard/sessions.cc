// SPDX-License-Identifier: Apache-2.0
// Sessions: keypairs as they come and go, and what traffic and time make of them.
#include <algorithm>

#include "control/wireguard/device_impl.h"

namespace meshgate::wireguard {

// ---- keypairs ----

void Device::Impl::begin_session(Peer& peer, InstallKeypair&& install, Now now) {
    install.created_ns = now.mono_ns();
    install.reject_after_ns = now.mono_ns() + options.timings.reject_after_time_ns;
    const bool ours = install.initiator == Initiator::us;
    const KeypairSlot slot{
        .local_index = install.local_index,
        .initiator = install.initiator,
        .initiated_ns = ours ? *peer.last_initiation_sent_ns : install.created_ns,
        .created_ns = install.created_ns};
    actions.emplace_back(std::move(install));
    peer.timers.arm(Timer::zeroize, now.mono_ns() + options.timings.zeroize_after_time_ns);

    if (!ours) {
        remove_keypairs(peer, peer.slots.install_next(slot));
        return watch_expiry(peer);
    }
    const KeypairSlots::Displaced displaced = peer.slots.install_current(slot);
    actions.emplace_back(UseForSending{peer.id, slot.local_index});
    remove_keypairs(peer, displaced);
    watch_expiry(peer);
    complete(peer, now);
    actions.emplace_back(FlushStaged{peer.id, true});
}

// Both sides have the session: nothing is left to retransmit.
void Device::Impl::complete(Peer& peer, Now now) {
    forget_initiation(peer);
    peer.timers.disarm(Timer::retransmit);
    peer.initiations_of_attempt = 0;
    peer.rekeyed_on_receive = false;
    peer.may_send = true;
    peer.activity.send_counter = 0;
    peer.last_handshake_wall_ns = now.wall_ns;
    count(HandshakeEvent::completed, &peer);
}

void Device::Impl::on_confirmed(uint32_t local_index, Now now) {
    const std::optional<PeerId> owner = indices_.owner(local_index);
    Peer* peer = owner ? find(*owner) : nullptr;
    if (peer == nullptr)
        return;
    const Collision collision =
        public_key > peer->remote.public_key ? Collision::ours_wins : Collision::theirs_wins;
    const KeypairSlots::Confirmed confirmed =
        peer->slots.confirm(local_index, collision, options.timings.collision_window_ns());
    if (!confirmed.was_next)
        return;
    if (confirmed.doubtful)
        initiate(*peer, Attempt::fresh, now);  // a session that both sides have, within seconds
    if (confirmed.sends) {
        complete(*peer, now);
        actions.emplace_back(UseForSending{peer->id, local_index});
        actions.emplace_back(FlushStaged{peer->id, false});
    }
    remove_keypairs(*peer, confirmed.displaced);
    watch_expiry(*peer);
    reschedule(*peer);
}

void Device::Impl::remove_keypairs(Peer& peer, const KeypairSlots::Displaced& local_indices) {
    for (const uint32_t local_index : local_indices) {
        indices_.release(local_index);
        actions.emplace_back(RemoveKeypair{peer.id, local_index});
    }
}

void Device::Impl::watch_expiry(Peer& peer) {
    const uint64_t created_ns = peer.slots.oldest_created_ns();
    if (created_ns == kNeverNs)
        return peer.timers.disarm(Timer::keypair_expiry);
    peer.timers.arm(Timer::keypair_expiry, created_ns + options.timings.reject_after_time_ns);
}

void Device::Impl::on_install_failed(uint32_t local_index, Now now) {
    const std::optional<PeerId> owner = indices_.owner(local_index);
    Peer* peer = owner ? find(*owner) : nullptr;
    if (peer == nullptr)
        return;
    const auto& current = peer->slots.current();
    const bool was_current = current && current->local_index == local_index;
    remove_keypairs(*peer, peer->slots.remove(local_index));
    watch_expiry(*peer);
    if (was_current)
        initiate(*peer, Attempt::fresh, now);
    reschedule(*peer);
}

void Device::Impl::clear_sessions_of(Peer& peer) {
    remove_keypairs(peer, peer.slots.remove_all());
    forget_initiation(peer);
    peer.cookies.clear();
    peer.timers.disarm_all();
    peer.initiations_of_attempt = 0;
    peer.last_initiation_sent_ns.reset();
}

// ---- traffic ----

bool Device::Impl::can_send(const Peer& peer, Now now) const noexcept {
    const auto& current = peer.slots.current();
    return current && peer.may_send && peer.activity.send_counter < kRejectAfterMessages &&
           now.mono_ns() < current->created_ns + options.timings.reject_after_time_ns;
}

// Times that were told before have had their effect; only what is newer counts.
void Device::Impl::on_activity(Peer& peer, const Activity& activity, Now now) {
    const Activity before = std::exchange(peer.activity, activity);
    if (!up_)
        return;
    if (activity.last_any_rx_ns > before.last_any_rx_ns)
        peer.timers.on_any_received(activity.last_any_rx_ns);
    if (activity.last_any_tx_ns > before.last_any_tx_ns)
        peer.timers.on_any_sent(activity.last_any_tx_ns);
    if (activity.last_data_rx_ns > before.last_data_rx_ns)
        peer.timers.on_data_received(activity.last_data_rx_ns);
    if (activity.last_data_tx_ns > before.last_data_tx_ns)
        peer.timers.on_data_sent(activity.last_data_tx_ns, jitter_ns());
    if (activity.last_any_tx_ns > before.last_any_tx_ns)
        rekey_on_send(peer, activity.last_any_tx_ns, now);
    if (activity.last_any_rx_ns > before.last_any_rx_ns)
        rekey_on_receive(peer, activity.last_any_rx_ns, now);
}

void Device::Impl::rekey_on_send(Peer& peer, uint64_t sent_ns, Now now) {
    const auto& current = peer.slots.current();
    if (!current)
        return;
    if (peer.activity.send_counter >= kRejectAfterMessages) {
        peer.may_send = false;
        actions.emplace_back(StopSending{peer.id});
    }
    const bool used_up = peer.activity.send_counter >= options.timings.rekey_after_messages;
    const bool old = current->initiator == Initiator::us &&
                     sent_ns >= current->created_ns + options.timings.rekey_after_time_ns;
    if (used_up || old)
        initiate(peer, Attempt::fresh, now);
}

// The last chance of a side that only receives.
void Device::Impl::rekey_on_receive(Peer& peer, uint64_t received_ns, Now now) {
    const auto& current = peer.slots.current();
    if (!current || current->initiator == Initiator::them || peer.rekeyed_on_receive ||
        received_ns < current->created_ns + options.timings.rekey_on_receive_ns())
        return;
    peer.rekeyed_on_receive = true;
    initiate(peer, Attempt::fresh, now);
}

void Device::Impl::on_endpoint_moved(Peer& peer, const Addressing& from) {
    roam(peer, from);
}

// Neither away from a node address nor to one.
void Device::Impl::roam(Peer& peer, const Location& from) {
    const auto* addressing = std::get_if<Addressing>(&from);
    const bool routed = peer.endpoint && std::holds_alternative<NodeAddress>(*peer.endpoint);
    if (addressing != nullptr && !routed)
        set_endpoint(peer, *addressing);
}

void Device::Impl::set_endpoint(Peer& peer, const Addressing& to) {
    if (peer.endpoint == Location{to})
        return;
    peer.endpoint = to;
    actions.emplace_back(EndpointChanged{peer.id, to});
}

// The address of ours that worked last may be the one that does not any more.
void Device::Impl::forget_source(Peer& peer) {
    const auto* addressing = peer.endpoint ? std::get_if<Addressing>(&*peer.endpoint) : nullptr;
    if (addressing != nullptr)
        set_endpoint(peer, Addressing{.remote = addressing->remote, .local = {}});
}

// ---- time ----

void Device::Impl::reschedule(Peer& peer) {
    const uint64_t next_ns = peer.timers.next_ns();
    if (next_ns == peer.queued_deadline_ns)
        return;
    if (peer.queued_deadline_ns != kNeverNs)
        deadlines_.erase({peer.queued_deadline_ns, peer.id});
    if (next_ns != kNeverNs)
        deadlines_.emplace(next_ns, peer.id);
    peer.queued_deadline_ns = next_ns;
}

uint64_t Device::Impl::next_deadline() const noexcept {
    const uint64_t timers_ns = deadlines_.empty() ? kNeverNs : deadlines_.begin()->first;
    return std::min(timers_ns, limiter_.next_collection_ns());
}

void Device::Impl::tick(Now now) {
    if (limiter_.next_collection_ns() <= now.mono_ns())
        limiter_.collect(now.mono_ns());
    for (size_t n = 0; n < kMaxPeersPerTick; ++n) {
        if (deadlines_.empty() || deadlines_.begin()->first > now.mono_ns())
            return;
        Peer& peer = *find(deadlines_.begin()->second);
        if (options.sample_activity)
            on_activity(peer, options.sample_activity(peer.id), now);
        for (uint64_t due_ns = peer.timers.next_ns(); due_ns <= now.mono_ns();
             due_ns = peer.timers.next_ns())
            fire(peer, *peer.timers.pop_due(now.mono_ns()), due_ns, now);
        reschedule(peer);
    }
}

void Device::Impl::fire(Peer& peer, Timer timer, uint64_t due_ns, Now now) {
    switch (timer) {
        case Timer::retransmit:
            if (peer.initiations_of_attempt >= options.timings.max_initiations)
                return give_up(peer, now);
            forget_source(peer);
            return initiate(peer, Attempt::retransmission, now);
        case Timer::passive_keepalive:
            send_keepalive(peer, now);
            return peer.timers.on_passive_keepalive_sent(due_ns);
        case Timer::dead_peer:
            forget_source(peer);
            return initiate(peer, Attempt::fresh, now);
        case Timer::persistent_keepalive:
            return send_keepalive(peer, now);
        case Timer::keypair_expiry: {
            const uint64_t lifetime_ns = options.timings.reject_after_time_ns;
            remove_keypairs(peer, peer.slots.remove_older(now.mono_ns() - lifetime_ns));
            return watch_expiry(peer);
        }
        case Timer::zeroize:
            remove_keypairs(peer, peer.slots.remove_all());
            forget_initiation(peer);
            return watch_expiry(peer);
        case Timer::nb_timers:
            return;
    }
}

void Device::Impl::give_up(Peer& peer, Now now) {
    peer.timers.disarm(Timer::passive_keepalive);
    if (!peer.timers.armed(Timer::zeroize))
        peer.timers.arm(Timer::zeroize, now.mono_ns() + options.timings.zeroize_after_time_ns);
    actions.emplace_back(PurgeStaged{peer.id});
    count(HandshakeEvent::given_up, &peer);
}

// Without a session the handshake takes the keepalive's place: its end is one.
void Device::Impl::send_keepalive(Peer& peer, Now now) {
    // The time of sending will be told; should the packet not leave, the next is still due.
    peer.timers.count_persistent_keepalive_from(now.mono_ns());
    if (!can_send(peer, now))
        return initiate(peer, Attempt::fresh, now);
    actions.emplace_back(SendKeepalive{peer.id});
}

}  // namespace meshgate::wireguard
