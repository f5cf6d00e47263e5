// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "control/wireguard/device.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// Sends a handshake message by a link. Without a packet buffer it is lost, and tried again by whose
// it is.
void send_along(Dataplane& dataplane, const Link& link, const wireguard::SendMessage& message);

}  // namespace meshgate::control
