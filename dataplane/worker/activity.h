// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dataplane/api/counters.h"

namespace meshgate {

// Counters of one keypair that one worker has for itself, see Keypair::send_counter. Worker only.
struct CounterBlock {
    uint64_t serial = 0;  // Keypair::serial
    uint64_t next = 0;
    uint64_t end = 0;
};

// What one worker saw of one peer; Dataplane::activity() sums over workers. Times are TSC clocks, 0
// is never. Bytes are those of WireGuard datagrams (UDP payload), as `wg show` counts (W05). One
// cache line for sealing, one for opening.
struct alignas(64) PeerActivity {
    Counter tx_packets, tx_bytes;
    Counter last_data_tx_tsc;
    Counter last_any_tx_tsc;
    CounterBlock reserved;
    Counter sized_packets;  // see Dataplane::Activity
    alignas(64) Counter rx_packets;
    Counter rx_bytes;
    Counter last_data_rx_tsc;  // authenticated and not empty
    Counter last_any_rx_tsc;   // authenticated, keepalives included
    // Up to when the share of Babel and mesh control messages is used up. Worker only.
    uint64_t mesh_paid_until_tsc = 0;
};
static_assert(sizeof(PeerActivity) == 128, "two cache lines per peer and worker");

// What relay entries of one worker sent by one link. Bytes are those of WireGuard datagrams.
struct LinkCounters {
    Counter relayed_packets, relayed_bytes;
};

}  // namespace meshgate
