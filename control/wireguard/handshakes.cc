// SPDX-License-Identifier: Apache-2.0
// Handshake messages. Nothing changes the state of the device or of a peer before a message has
// proved who sent it; what fails is counted and forgotten (W25).
#include <algorithm>
#include <cstring>

#include "control/wireguard/device_impl.h"

namespace meshgate::wireguard {

namespace {

template <typename M>
Message to_message(const M& message) noexcept {
    Message result;
    static_assert(sizeof(M) <= Message::kMaxLen);
    std::memcpy(result.bytes.data(), &message, sizeof(M));
    result.len = sizeof(M);
    return result;
}

// The type that the first word states, if the length is that type's (W01).
std::optional<MessageType> type_of(Bytes datagram) noexcept {
    Le32 word{};
    if (datagram.size() < word.size())
        return std::nullopt;
    std::memcpy(word.data(), datagram.data(), word.size());
    const auto type = static_cast<MessageType>(from_le32(word));
    size_t len = 0;
    switch (type) {
        case MessageType::initiation:
            len = sizeof(InitiationMessage);
            break;
        case MessageType::response:
            len = sizeof(ResponseMessage);
            break;
        case MessageType::cookie_reply:
            len = sizeof(CookieReplyMessage);
            break;
        default:
            return std::nullopt;
    }
    if (datagram.size() != len)
        return std::nullopt;
    return type;
}

// What cookies and the rate limit hold to. A node address has no port.
Endpoint source_of(const Location& from) noexcept {
    if (const auto* addressing = std::get_if<Addressing>(&from))
        return addressing->remote;
    return {std::get<NodeAddress>(from).address, 0};
}

}  // namespace

HandshakeEvent Device::Impl::count(HandshakeEvent event, Peer* peer) {
    ++counters[static_cast<size_t>(event)];
    if (peer != nullptr)
        ++peer->counters[static_cast<size_t>(event)];
    return event;
}

uint64_t Device::Impl::jitter_ns() {
    const uint64_t greatest = options.timings.rekey_timeout_jitter_ns;
    Le32 random{};
    options.fill_random(random);
    return static_cast<uint64_t>(static_cast<double>(greatest) * from_le32(random) / UINT32_MAX);
}

SecretKey Device::Impl::ephemeral_key() {
    SecretKey key;
    options.fill_random(key.mutable_bytes());
    return key;
}

// ---- in ----

HandshakeEvent Device::Impl::receive(Bytes datagram, const Location& from, size_t nb_queued,
                                     Now now) {
    if (nb_queued >= kUnderLoadQueued)
        under_load_until_ns = now.mono_ns() + kUnderLoadLasts;
    const std::optional<MessageType> type = type_of(datagram);
    if (!type)
        return count(HandshakeEvent::bad_length);
    if (!up_ || !identity)
        return count(HandshakeEvent::device_down);

    if (*type == MessageType::initiation) {
        const auto message = message_from<InitiationMessage>(datagram);
        if (const auto why = refused(message, from, now))
            return *why;
        return receive_initiation(message, from, now);
    }
    if (*type == MessageType::response) {
        const auto message = message_from<ResponseMessage>(datagram);
        if (const auto why = refused(message, from, now))
            return *why;
        return receive_response(message, from, now);
    }
    return receive_cookie_reply(message_from<CookieReplyMessage>(datagram), now);
}

// Whether the message may cost us a DH: mac1 always, under load also mac2 and the rate (W23, W26).
template <typename M>
std::optional<HandshakeEvent> Device::Impl::refused(const M& message, const Location& from,
                                                    Now now) {
    const Endpoint source = source_of(from);
    const bool under_load = now.mono_ns() < under_load_until_ns;
    const auto mac2 = under_load ? CookieChecker::Mac2::needed : CookieChecker::Mac2::ignored;
    switch (cookie_checker_.check(bytes_of(message), source, mac2, now.mono_ns())) {
        case CookieChecker::Verdict::bad_mac1:
            return count(HandshakeEvent::bad_mac1);
        case CookieChecker::Verdict::bad_mac2:
            send_cookie_reply(bytes_of(message), from_le32(message.sender_index), from, now);
            return count(HandshakeEvent::bad_mac2);
        case CookieChecker::Verdict::valid:
            break;
    }
    if (!under_load || limiter_.allow(source.address, now.mono_ns()))
        return std::nullopt;
    return count(HandshakeEvent::rate_limited);
}

void Device::Impl::send_cookie_reply(Bytes message, uint32_t receiver_index, const Location& to,
                                     Now now) {
    const CookieReplyMessage reply =
        cookie_checker_.reply(message, source_of(to), receiver_index, now.mono_ns());
    send(kNoPeer, to_message(reply), to);
    count(HandshakeEvent::cookie_reply_sent);
}

HandshakeEvent Device::Impl::receive_initiation(const InitiationMessage& message,
                                                const Location& from, Now now) {
    ReceivedInitiation received;
    if (!open_static(received, message, *identity))
        return count(HandshakeEvent::bad_tag);
    const auto found = peers_by_key.find(received.remote_static);
    if (found == peers_by_key.end())
        return count(HandshakeEvent::unknown_peer);
    Peer& peer = *find(found->second);
    if (!open_timestamp(received, message, peer.remote))
        return count(HandshakeEvent::bad_tag, &peer);
    if (const auto why = is_stale(peer, received.timestamp, now))
        return *why;

    peer.greatest_timestamp = received.timestamp;
    peer.last_initiation_accepted_ns = now.mono_ns();
    count(HandshakeEvent::initiation_received, &peer);
    roam(peer, from);
    peer.timers.on_any_received(now.mono_ns());
    const HandshakeEvent fate = respond(peer, received, from, now);
    reschedule(peer);
    return fate;
}

std::optional<HandshakeEvent> Device::Impl::is_stale(Peer& peer, const Timestamp& timestamp,
                                                     Now now) {
    if (timestamp == peer.greatest_timestamp)
        return count(HandshakeEvent::replayed_initiation, &peer);
    if (timestamp < peer.greatest_timestamp)
        return count(HandshakeEvent::timestamp_in_past, &peer);
    if (peer.last_initiation_accepted_ns &&
        now.mono_ns() < *peer.last_initiation_accepted_ns + kInitiationMinGap)
        return count(HandshakeEvent::initiation_flood, &peer);
    return std::nullopt;
}

// Our own initiation, if one waits, stays valid: when both sides initiate at once, both are
// answered, and KeypairSlots settles which session is used.
HandshakeEvent Device::Impl::respond(Peer& peer, const ReceivedInitiation& received,
                                     const Location& from, Now now) {
    ResponseMessage response;
    TransportKeys keys;
    const uint32_t local_index = indices_.allocate(peer.id);
    if (!peer.endpoint ||
        !create_response(response, keys, received, peer.remote, ephemeral_key(), local_index)) {
        indices_.release(local_index);
        return count(HandshakeEvent::bad_tag, &peer);
    }
    // Before the response: the initiator may answer at once.
    begin_session(peer,
                  InstallKeypair{.peer = peer.id,
                                 .local_index = local_index,
                                 .remote_index = received.remote_index,
                                 .send_key = std::move(keys.send),
                                 .receive_key = std::move(keys.receive),
                                 .initiator = Initiator::them,
                                 .slot = InstallKeypair::Slot::next,
                                 .from = from},
                  now);
    const bool routed = std::holds_alternative<NodeAddress>(*peer.endpoint);
    send_handshake(peer, response, routed ? from : *peer.endpoint, now);
    return count(HandshakeEvent::response_sent, &peer);
}

HandshakeEvent Device::Impl::receive_response(const ResponseMessage& message, const Location& from,
                                              Now now) {
    const uint32_t local_index = from_le32(message.receiver_index);
    const std::optional<PeerId> owner = indices_.owner(local_index);
    Peer* peer = owner ? find(*owner) : nullptr;
    if (peer == nullptr || !peer->sent_initiation ||
        peer->sent_initiation->local_index != local_index)
        return count(HandshakeEvent::stale_response, peer);
    TransportKeys keys;
    if (!consume_response(keys, message, *peer->sent_initiation, *identity, peer->remote))
        return count(HandshakeEvent::bad_tag, peer);

    peer->sent_initiation.reset();  // its secrets go, its index becomes the keypair's (W09)
    count(HandshakeEvent::response_received, peer);
    roam(*peer, from);
    peer->timers.on_any_received(now.mono_ns());
    begin_session(*peer,
                  InstallKeypair{.peer = peer->id,
                                 .local_index = local_index,
                                 .remote_index = from_le32(message.sender_index),
                                 .send_key = std::move(keys.send),
                                 .receive_key = std::move(keys.receive),
                                 .initiator = Initiator::us,
                                 .slot = InstallKeypair::Slot::current,
                                 .from = from},
                  now);
    reschedule(*peer);
    return HandshakeEvent::response_received;
}

HandshakeEvent Device::Impl::receive_cookie_reply(const CookieReplyMessage& message, Now now) {
    const std::optional<PeerId> owner = indices_.owner(from_le32(message.receiver_index));
    Peer* peer = owner ? find(*owner) : nullptr;
    if (peer == nullptr || !peer->cookies.consume(message, now.mono_ns()))
        return count(HandshakeEvent::stale_cookie_reply, peer);
    return count(HandshakeEvent::cookie_reply_received, peer);
}

// ---- out ----

void Device::Impl::initiate(Peer& peer, Attempt attempt, Now now) {
    if (!up_ || !peer.usable_key || !peer.endpoint)
        return;
    if (attempt == Attempt::fresh) {
        peer.initiations_of_attempt = peer.sent_initiation ? 1 : 0;
        if (peer.timers.armed(Timer::retransmit))
            return;  // it will be sent in time, and with jitter
        peer.initiations_of_attempt = 0;
    }
    const uint64_t timeout_ns = options.timings.rekey_timeout_ns;
    if (peer.last_initiation_sent_ns && now.mono_ns() < *peer.last_initiation_sent_ns + timeout_ns)
        return peer.timers.arm(Timer::retransmit,
                               *peer.last_initiation_sent_ns + timeout_ns + jitter_ns());
    send_initiation(peer, now);
}

void Device::Impl::send_initiation(Peer& peer, Now now) {
    forget_initiation(peer);
    InitiationMessage message;
    SentInitiation sent;
    const uint32_t local_index = indices_.allocate(peer.id);
    if (!create_initiation(message, sent, *identity, peer.remote, ephemeral_key(),
                           next_timestamp(peer, now), local_index))
        return indices_.release(local_index);
    peer.sent_initiation = std::make_unique<SentInitiation>(std::move(sent));
    peer.last_initiation_sent_ns = now.mono_ns();
    ++peer.initiations_of_attempt;
    peer.timers.arm(Timer::retransmit,
                    now.mono_ns() + options.timings.rekey_timeout_ns + jitter_ns());
    send_handshake(peer, message, *peer.endpoint, now);
    count(HandshakeEvent::initiation_sent, &peer);
}

template <typename M>
void Device::Impl::send_handshake(Peer& peer, M& message, const Location& to, Now now) {
    peer.cookies.stamp(bytes_of(message), now.mono_ns());
    send(peer.id, to_message(message), to);
    peer.timers.on_any_sent(now.mono_ns());
}

void Device::Impl::send(PeerId peer, const Message& message, const Location& to) {
    if (const auto* addressing = std::get_if<Addressing>(&to))
        actions.emplace_back(SendMessage{.peer = peer, .message = message, .to = *addressing});
    else
        actions.emplace_back(
            RouteMessage{.peer = peer, .message = message, .to = std::get<NodeAddress>(to)});
}

// Strictly greater than any before, whatever the wall clock does, so that the peer never takes us
// for a replay.
Timestamp Device::Impl::next_timestamp(Peer& peer, Now now) {
    const Timestamp last = std::max(peer.last_timestamp_sent, timestamp_floor);
    Timestamp timestamp = Timestamp::from_wall(now.wall_ns);
    if (last != Timestamp{})
        timestamp = std::max(timestamp, last.successor());
    peer.last_timestamp_sent = timestamp;
    greatest_timestamp_sent = std::max(greatest_timestamp_sent, timestamp);
    return timestamp;
}

void Device::Impl::forget_initiation(Peer& peer) {
    if (peer.sent_initiation)
        indices_.release(peer.sent_initiation->local_index);
    peer.sent_initiation.reset();
}

}  // namespace meshgate::wireguard
