// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/clients/client_underlay.h"

#include <algorithm>

namespace meshgate::mesh {

void ClientUnderlay::send(const RelayedClientsDatagram& datagram, Time now) {
    wireguard::SendMessage message;
    message.message.len = std::min(datagram.bytes.size(), wireguard::Message::kMaxLen);
    std::copy_n(datagram.bytes.begin(), message.message.len, message.message.bytes.begin());
    message.to = {.remote = datagram.client.remote,
                  .local = datagram.client.local,
                  .port = datagram.client.port};
    if (datagram.link)
        links_.send(*datagram.link, message, now);
    else
        links_.send(message, now);
}

}  // namespace meshgate::mesh
