// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "dataplane/api/dataplane.h"

namespace meshgate {

// How DPDK is asked for a port: the name of the device and the arguments of its driver.
struct Device {
    std::string name;       // "net_af_packet0", "0000:03:00.0"
    std::string arguments;  // "iface=eth0,qpairs=1", empty for PCI
};

// What is particular to a kind of device; one row per word of the box file.
struct DeviceTraits {
    std::string_view word;          // "af_packet"
    bool has_interface;             // stands on a kernel interface of the same name
    bool creates_interface;         // and makes it
    bool finish_partial_checksums;  // senders beside us may leave L4 checksums to their "NIC"
    bool has_doorbell;              // a file descriptor tells when frames wait
    bool nests_queues;              // takes several queues that the kernel spreads flows over
};
const DeviceTraits& traits_of(DeviceKind kind) noexcept;

// "af_packet:eth0"
std::string to_string(const PortOptions& options);

// Turns the words of the box file into DPDK's; refuses what cannot be a device.
Result<Device> make_device(const PortOptions& options, PortId id, unsigned nb_queues);

}  // namespace meshgate
