// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "base/address.h"
#include "dataplane/tables/ids.h"

namespace meshgate {

enum class LinkState : uint8_t { down, up };

// The kernel's interface of a port, or the one that leads into the network.
struct TwinStatus {
    std::string name = {};  // empty: there is none
    uint64_t to_host_packets = 0, to_host_bytes = 0, from_host_packets = 0, from_host_bytes = 0;
};

struct PortStatus {
    std::string name;
    std::string device;  // "af_packet:eth0"
    std::string driver;  // "net_af_packet"
    PortRole role;
    MacAddress mac;
    LinkState link;
    uint64_t link_changes;
    unsigned nb_rx_queues, nb_tx_queues;
    bool rss, tx_checksum_offload, vlan_strip_offload;
    uint64_t rx_missed, rx_errors, rx_nombuf, tx_errors;  // as the driver counts them
    // Of the interface that the port stands on, as of the last tick_ports().
    uint16_t mtu_bytes = 0;        // the port's, or less where the interface takes less
    uint64_t rebinds = 0;          // times it came late, or went and came back
    uint64_t offload_repairs = 0;  // times that others switched the joining of packets on
    std::string problem = {};      // what is wrong with it, and the cure; empty: nothing
    TwinStatus twin = {};
};

struct WorkerStatus {
    unsigned id;
    int core;  // -1: floats
    bool asleep;
};

}  // namespace meshgate
