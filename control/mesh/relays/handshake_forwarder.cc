// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/relays/handshake_forwarder.h"

#include <utility>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// For the device, until it takes them: each is checked by its mac1 only there.
constexpr size_t kMaxReceived = 256;
// That wait for a route, of different receivers.
constexpr size_t kMaxWaiting = 256;
// Shorter than REKEY_TIMEOUT: then the sender repeats it anyway.
constexpr auto kWaitingLife = 4s;

}  // namespace

void HandshakeForwarder::send(const IpAddress& to, std::span<const uint8_t> bytes, Time now) {
    forward({.from = self_,
             .to = to,
             .hops_left = kMaxHandshakeHops,
             .bytes = {bytes.begin(), bytes.end()}},
            now);
}

void HandshakeForwarder::receive(Handshake message, Role role, Time now) {
    if (message.to != self_) {
        if (role == Role::relay)
            forward(std::move(message), now);
    } else if (received_.size() < kMaxReceived) {
        received_.push_back({message.from, std::move(message.bytes)});
    }
}

void HandshakeForwarder::forward(Handshake message, Time now) {
    if (message.hops_left == 0)
        return;
    const auto next_hop = routes_.next_hop_to(message.to);
    if (!next_hop) {
        const IpAddress to = message.to;
        if (waiting_.contains(to) || waiting_.size() < kMaxWaiting)
            waiting_[to] = {std::move(message), now + kWaitingLife};
        return;
    }
    --message.hops_left;
    messages_.push_back({*next_hop, std::move(message)});
}

void HandshakeForwarder::on_route(const IpAddress& to, Time now) {
    auto waiting = waiting_.extract(to);
    if (!waiting.empty() && waiting.mapped().expires > now)
        forward(std::move(waiting.mapped().message), now);
}

void HandshakeForwarder::tick(Time now) {
    std::erase_if(waiting_, [now](const auto& entry) { return entry.second.expires <= now; });
}

}  // namespace meshgate::mesh
