// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"
#include "dataplane/api/options.h"

namespace meshgate {

// How DPDK is asked for a port: the name of the device and the arguments of its driver.
struct Device {
    std::string name;       // "net_af_packet0", "0000:03:00.0"
    std::string arguments;  // "iface=eth0,qpairs=1"; empty for PCI
};

// What is particular to a kind of device; one row per word of the box file.
struct DeviceKindTraits {
    DeviceKind kind;
    std::string_view word;          // "af_packet"
    std::string_view driver;        // "net_af_packet"; empty: the device decides
    unsigned max_queues;            // over which the kernel or the NIC spreads flows
    bool has_interface;             // stands on a kernel interface that exists before
    bool creates_interface;         // makes one, whose kernel end is a host's
    std::string_view needs;         // of the process, for messages
    bool finish_partial_checksums;  // senders beside us may leave L4 checksums to their "NIC"
};
const DeviceKindTraits& traits_of(DeviceKind kind) noexcept;

// "af_packet:eth0"
std::string device_text(const PortOptions& options);

// Turns the word of the box file into DPDK's; refuses what cannot be a device.
Result<Device> make_device(const PortOptions& options, PortId id, unsigned nb_queues);

// A locally administered unicast address that stays the same from start to start. The two ends of a
// virtual wire get different ones.
enum class WireEnd : uint8_t { ours, theirs };
MacAddress derive_mac(const PortOptions& options, WireEnd end);

}  // namespace meshgate
