// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "dataplane/api/link.h"
#include "dataplane/tables/ids.h"

namespace meshgate {

enum class DeviceKind : uint8_t { pci, af_packet, af_xdp, tap, memif, vdev };

struct PortOptions {
    std::string name;     // as in the box file
    bool enabled = true;  // false: not opened
    DeviceKind device = DeviceKind::af_packet;
    std::string device_argument;  // PCI address, interface, socket path, raw vdev string
    PortRole role = PortRole::lan;
    uint16_t vlan = kNoVlan;
    uint16_t mtu_bytes = 1500;
    std::optional<MacAddress> mac;  // none: the device's own (tap: one derived from it)
    std::string twin = {};          // the kernel's interface of this port; empty: none
};

enum class IdleMode : uint8_t { busy, adaptive };
enum class MemoryMode : uint8_t { automatic, hugepages, no_huge };
enum class AeadChoice : uint8_t { automatic, cross_packet, ipsec_mb, libsodium };

struct DataplaneOptions {
    std::vector<PortOptions> ports;
    unsigned nb_workers = 1;      // 1 .. kMaxWorkers
    std::vector<unsigned> cores;  // empty: workers float; else one per worker
    IdleMode idle = IdleMode::adaptive;
    MemoryMode memory = MemoryMode::automatic;
    AeadChoice aead = AeadChoice::automatic;
    unsigned memory_mib = 256;
    unsigned nb_mbufs = 32768;
    PeerId max_peers = 16384;
    uint32_t max_relays = 262'144;  // receiver indices forwarded for others
    // The kernel's interface that leads into the network, where a port has a twin.
    std::string overlay_interface = {};
};

}  // namespace meshgate
