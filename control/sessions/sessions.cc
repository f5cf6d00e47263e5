// SPDX-License-Identifier: Apache-2.0
#include "control/sessions/sessions.h"

#include <endian.h>

#include <algorithm>
#include <variant>

namespace meshgate::control {

namespace {

constexpr size_t kStagedPerPeer = 128;    // packets that wait for a session, W36; the oldest goes
constexpr size_t kSampledPerCall = 2048;  // peers sampled in one turn

}  // namespace

Sessions::Sessions(Parts parts)
    : parts_{std::move(parts)}, staged_{kStagedPerPeer, parts_.budget} {}

void Sessions::stage(Packet packet, const Now& now) {
    const PeerId peer = packet.info().peer;
    // The session may have come up while the packet was on its way to us.
    if (staged_.empty(peer) && can_send(peer)) {
        seal(peer, std::move(packet));
        return;
    }
    if (const auto displaced = staged_.push(peer, std::move(packet)))
        count_drop(Drop::no_session);
    parts_.device.on_no_session(peer, now);
}

void Sessions::carry_out(const Now& now) {
    // Actions may lead to further ones: a keypair that cannot be installed, for instance.
    for (parts_.device.drain(actions_); !actions_.empty(); parts_.device.drain(actions_)) {
        for (wireguard::Action& action : std::exchange(actions_, {}))
            std::visit([&](auto& which) { act(which, now); }, action);
    }
    if (gate_ == nullptr)
        return;
    for (const PeerId peer : gate_->take_released())
        release(peer, now);
}

// There is a path for the session that waited for one.
void Sessions::release(PeerId peer, const Now& now) {
    const auto found = held_.find(peer);
    if (found == held_.end())
        return;
    const Held held = found->second;
    held_.erase(found);
    use(peer, held.local_index, now);
    if (held.flush)
        act(*held.flush, now);
}

void Sessions::act(const wireguard::SendMessage& action, const Now& now) {
    parts_.links.send(action, now.mono);
}

void Sessions::act(const wireguard::RouteMessage& action, const Now& now) {
    if (gate_ != nullptr)
        gate_->send_handshake(action, now);
}

void Sessions::act(wireguard::InstallKeypair& action, const Now& now) {
    const bool installed =
        parts_.dataplane.install({.send_key = action.send_key.bytes(),
                                  .receive_key = action.receive_key.bytes(),
                                  .local_index = action.local_index,
                                  .remote_index_le = htole32(action.remote_index),
                                  .peer = action.peer,
                                  .initiator = action.initiator,
                                  .reject_after_tsc = moment(now).to_tsc(action.reject_after_ns)});
    action.send_key.wipe();
    action.receive_key.wipe();
    if (!installed) {
        parts_.device.on_install_failed(action.local_index, now);
        return;
    }
    ++nb_keypairs_;
    ++peers_with_keypairs_[action.peer];
    parts_.links.on_handshake(action.peer, action.initiator, now.mono);
    if (gate_ != nullptr)
        gate_->on_keypair(action, now);
}

void Sessions::act(const wireguard::UseForSending& action, const Now& now) {
    if (!parts_.dataplane.has_keypair(action.local_index))
        return;
    if (gate_ != nullptr && !gate_->may_send(action.peer, action.local_index, now)) {
        held_[action.peer].local_index = action.local_index;
        return;
    }
    held_.erase(action.peer);
    use(action.peer, action.local_index, now);
}

void Sessions::use(PeerId peer, uint32_t local_index, const Now& now) {
    if (!parts_.dataplane.has_keypair(local_index))
        return;
    const bool first = !parts_.dataplane.sending(peer);
    parts_.dataplane.set_sending(peer, local_index);
    if (const auto sending = parts_.dataplane.sending(peer))
        count_.use(peer, sending->reject_after_tsc);
    if (first)
        parts_.log.write(
            {Log::Level::info, "session-up", parts_.name_of(peer), "session established"},
            now.mono);
}

void Sessions::act(const wireguard::StopSending& action, const Now&) {
    parts_.dataplane.clear_sending(action.peer);
    held_.erase(action.peer);  // nor may the one that waits for a path
    count_.stop(action.peer);
}

void Sessions::act(const wireguard::RemoveKeypair& action, const Now& now) {
    if (!parts_.dataplane.has_keypair(action.local_index))
        return;
    parts_.dataplane.remove_keypair(action.local_index);
    if (!parts_.dataplane.sending(action.peer))
        count_.stop(action.peer);
    --nb_keypairs_;
    const auto held = held_.find(action.peer);
    if (held != held_.end() && held->second.local_index == action.local_index)
        held_.erase(held);
    if (gate_ != nullptr)
        gate_->on_keypair_removed(action.peer, action.local_index, now);
    const auto it = peers_with_keypairs_.find(action.peer);
    if (it == peers_with_keypairs_.end() || --it->second > 0)
        return;
    peers_with_keypairs_.erase(it);
    seen_.erase(action.peer);
    parts_.log.write({Log::Level::info, "session-down", parts_.name_of(action.peer),
                      "session ended, keys wiped"},
                     now.mono);
}

void Sessions::act(const wireguard::SendKeepalive& action, const Now&) {
    send_keepalive(action.peer);
}

void Sessions::act(const wireguard::FlushStaged& action, const Now&) {
    if (const auto held = held_.find(action.peer); held != held_.end()) {
        held->second.flush = action;
        return;
    }
    auto packets = staged_.take(action.peer);
    if (packets.empty() && action.keepalive_if_none)
        send_keepalive(action.peer);
    for (Packet& packet : packets)
        seal(action.peer, std::move(packet));
}

void Sessions::act(const wireguard::PurgeStaged& action, const Now& now) {
    const auto packets = staged_.take(action.peer);
    count_drop(Drop::no_session, packets.size());
    for (const Packet& packet : packets)
        parts_.next_hops.refuse(packet, now.mono);
    if (!packets.empty())
        parts_.log.write({Log::Level::info, "handshake-given-up", parts_.name_of(action.peer),
                          "no answer, waiting packets dropped"},
                         now.mono);
}

void Sessions::act(const wireguard::EndpointChanged& action, const Now& now) {
    const auto before = parts_.links.path_of(action.peer);
    if (before && before->remote != action.to.remote)
        on_endpoint_moved(action.peer, before->remote, action.to.remote, now.mono);
    parts_.links.set_endpoint(action.peer, action.to, now.mono);
}

// While two machines move it to and fro, each move says nothing new.
void Sessions::on_endpoint_moved(PeerId peer, const Endpoint& from, const Endpoint& to, Time now) {
    const std::string name = parts_.name_of(peer);
    switch (conflicts_.on_move(peer, from, to, now)) {
        case EndpointConflicts::Verdict::moved:
            parts_.log.write({Log::Level::info, "endpoint-moved", name,
                              to_string(from) + " -> " + to_string(to)},
                             now);
            return;
        case EndpointConflicts::Verdict::begins:
            parts_.log.write({Log::Level::warning, "key-used-twice", name,
                              "its endpoint moves to and fro between " + to_string(from) + " and " +
                                  to_string(to) + ": two machines use its key"},
                             now);
            return;
        case EndpointConflicts::Verdict::conflict:
            return;
    }
}

void Sessions::act(const wireguard::PeerRemoved& action, const Now& now) {
    parts_.links.refuse(action.peer);
    parts_.log.write({Log::Level::error, "own-key", parts_.name_of(action.peer),
                      "the peer has our own public key and is ignored"},
                     now.mono);
}

// Near its end a session counts as gone: a packet that reaches the worker too late would come back
// here, and loop between the two until then.
bool Sessions::can_send(PeerId peer) const {
    const auto sending = parts_.dataplane.sending(peer);
    if (!sending)
        return false;
    const uint64_t margin_tsc = parts_.dataplane.tsc_hz() / 10;
    return parts_.dataplane.tsc_now() + margin_tsc < sending->reject_after_tsc &&
           sending->send_counter < kRejectAfterMessages / 2;
}

void Sessions::seal(PeerId peer, Packet packet) {
    packet.info().inject = Inject::seal;
    packet.info().peer = peer;
    parts_.dataplane.send(std::move(packet), peer);
}

void Sessions::send_keepalive(PeerId peer) {
    Packet packet = parts_.dataplane.allocate(0);
    if (packet)
        seal(peer, std::move(packet));
}

void Sessions::count_drop(Drop reason, uint64_t nb_packets) {
    parts_.dataplane.count_drop(reason, nb_packets);
}

TscMoment Sessions::moment(const Now& now) const {
    return {.tsc = parts_.dataplane.tsc_now(),
            .tsc_hz = parts_.dataplane.tsc_hz(),
            .mono_ns = now.mono_ns()};
}

wireguard::Activity Sessions::activity_of(PeerId peer, const Now& now) {
    Seen& seen = seen_[peer];
    const TscMoment at = moment(now);
    const Dataplane::Activity before = std::exchange(seen.tsc, parts_.dataplane.activity(peer));
    const auto translate = [&at](uint64_t& ns, uint64_t old_tsc, uint64_t new_tsc) {
        if (new_tsc != old_tsc)
            ns = std::max(ns, at.to_ns(new_tsc));
    };
    translate(seen.ns.last_data_rx_ns, before.last_data_rx_tsc, seen.tsc.last_data_rx_tsc);
    translate(seen.ns.last_data_tx_ns, before.last_data_tx_tsc, seen.tsc.last_data_tx_tsc);
    translate(seen.ns.last_any_rx_ns, before.last_any_rx_tsc, seen.tsc.last_any_rx_tsc);
    translate(seen.ns.last_any_tx_ns, before.last_any_tx_tsc, seen.tsc.last_any_tx_tsc);
    const auto sending = parts_.dataplane.sending(peer);
    seen.ns.send_counter = sending ? sending->send_counter : 0;
    return seen.ns;
}

void Sessions::sample(const Now& now) {
    const size_t nb_wanted = std::min(kSampledPerCall, peers_with_keypairs_.size());
    auto it = peers_with_keypairs_.lower_bound(next_sampled_);
    for (size_t i = 0; i < nb_wanted; ++i) {
        if (it == peers_with_keypairs_.end())
            it = peers_with_keypairs_.begin();
        const PeerId peer = (it++)->first;
        const Dataplane::Activity before = seen_[peer].tsc;
        const wireguard::Activity activity = activity_of(peer, now);
        const Dataplane::Activity& after = seen_[peer].tsc;
        if (before.last_any_rx_tsc != after.last_any_rx_tsc ||
            before.last_any_tx_tsc != after.last_any_tx_tsc)
            parts_.device.on_activity(peer, activity, now);
    }
    next_sampled_ = it == peers_with_keypairs_.end() ? 0 : it->first;
}

}  // namespace meshgate::control
