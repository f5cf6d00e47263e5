// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/send.h"

#include <algorithm>

namespace meshgate::control {

namespace {

// All peers behind one gateway may start a handshake while we still ask for its MAC address.
constexpr size_t kMessagesPerNextHop = 1024;
constexpr size_t kMaxMessages = 4096;  // for all next hops together

}  // namespace

HandshakeSender::HandshakeSender(Dataplane& dataplane)
    : dataplane_{dataplane}, budget_{.max = kMaxMessages}, waiting_{kMessagesPerNextHop, budget_} {}

void HandshakeSender::send(const Link& link, const wireguard::SendMessage& message) {
    const auto bytes = message.message.view();
    Packet packet = dataplane_.allocate(static_cast<uint16_t>(bytes.size()));
    if (!packet)
        return;
    std::ranges::copy(bytes, packet.bytes().begin());
    if (!encapsulate(packet, link, message.tos)) {
        dataplane_.count_drop(Drop::no_headroom);
        return;
    }
    packet.info().inject = Inject::frame;
    packet.info().port = link.port;
    dataplane_.send(std::move(packet));
}

void HandshakeSender::hold(const NextHop& next_hop, Handshake handshake) {
    if (waiting_.push(next_hop, std::move(handshake)))
        dataplane_.count_drop(Drop::unresolved_neighbor);
}

}  // namespace meshgate::control
