// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/handshake_queue.h"

#include <algorithm>
#include <utility>

namespace meshgate::control {

void HandshakeQueue::push(const Packet& packet) {
    const auto bytes = packet.bytes();
    const PacketInfo& info = packet.info();
    if (bytes.size() > wireguard::Message::kMaxLen)
        return dataplane_.count_drop(Drop::bad_message);
    if (messages_.size() >= kMaxQueuedHandshakes)
        return dataplane_.count_drop(Drop::punt_full);
    Queued& queued = messages_.emplace_back();
    std::ranges::copy(bytes, queued.bytes.begin());
    queued.len = bytes.size();
    queued.from = {.remote = info.remote, .local = info.local, .port = info.port};
}

HandshakeQueue::Queued HandshakeQueue::pop() {
    const Queued first = messages_.front();
    messages_.pop_front();
    return first;
}

void HandshakeQueue::begin_turn() {
    uint64_t nb_refused = 0;
    for (unsigned worker = 0; worker < dataplane_.options().nb_workers; ++worker)
        nb_refused += dataplane_.counters(worker).drops.get(Drop::handshake_flood);
    workers_refuse_ = nb_refused != std::exchange(nb_refused_, nb_refused);
}

// Workers refuse handshakes that are more than we can answer: then others must prove by a cookie
// where they are, although few wait here.
size_t HandshakeQueue::load() const noexcept {
    return workers_refuse_ ? kMaxQueuedHandshakes : messages_.size();
}

}  // namespace meshgate::control
