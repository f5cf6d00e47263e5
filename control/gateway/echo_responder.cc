// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/echo_responder.h"

#include <algorithm>
#include <utility>

#include "control/packets/icmp.h"

namespace meshgate::control {

bool EchoResponder::make_reply(Packet& packet, Time now) {
    if (!replies_.take(now)) {
        dataplane_.count_drop(Drop::echo_flood);
        return false;
    }
    if (!make_echo_reply(packet.bytes())) {
        dataplane_.count_drop(Drop::bad_echo);
        return false;
    }
    return true;
}

void EchoResponder::answer_peer(Packet packet, Time now) {
    if (!make_reply(packet, now))
        return;
    packet.info().inject = Inject::route;
    dataplane_.send(std::move(packet));
}

void EchoResponder::answer_port(Packet packet, const PortIdentity& identity, Time now) {
    if (!make_reply(packet, now))
        return;
    const Frame header = ethernet_header_for(identity, packet.info().source_mac, packet.bytes());
    uint8_t* front = packet.prepend(static_cast<uint16_t>(header.size()));
    if (front == nullptr)
        return dataplane_.count_drop(Drop::no_headroom);
    std::ranges::copy(header, front);
    packet.info().inject = Inject::frame;
    dataplane_.send(std::move(packet));
}

}  // namespace meshgate::control
