// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/address.h"
#include "dataplane/api/link.h"

namespace meshgate {

// A short message from a worker to control, beside the packets.
struct Note {
    enum class Kind : uint8_t {
        confirmed,       // first authenticated packet of keypair `local_index` (W27)
        endpoint_moved,  // authenticated packet from `remote`, not where `peer` was (W39)
    };

    Kind kind = Kind::confirmed;
    PortId port = kNoPort;
    PeerId peer = kNoPeer;
    uint32_t local_index = 0;
    Endpoint remote;  // endpoint_moved: outer source
    Endpoint local;   // endpoint_moved: outer destination, which answers must come from
    uint64_t tsc = 0;
};

}  // namespace meshgate
