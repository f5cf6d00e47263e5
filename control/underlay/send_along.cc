// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/send_along.h"

#include <algorithm>

namespace meshgate::control {

void send_along(Dataplane& dataplane, const Link& link, const wireguard::SendMessage& message) {
    const auto bytes = message.message.view();
    Packet packet = dataplane.allocate(static_cast<uint16_t>(bytes.size()));
    if (!packet)
        return;
    std::ranges::copy(bytes, packet.bytes().begin());
    if (!encapsulate(packet, link, message.tos))
        return;
    packet.info().inject = Inject::frame;
    packet.info().port = link.port;
    dataplane.send(std::move(packet));
}

}  // namespace meshgate::control
