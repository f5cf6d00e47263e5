// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/dataplane_options.h"

#include <algorithm>

#include "control/routing/snapshot_builder.h"

namespace meshgate::control {

namespace {

DeviceKind device_kind(config::DeviceKind kind) noexcept {
    switch (kind) {
        case config::DeviceKind::pci:
            return DeviceKind::pci;
        case config::DeviceKind::af_xdp:
            return DeviceKind::af_xdp;
        case config::DeviceKind::af_packet:
            return DeviceKind::af_packet;
        case config::DeviceKind::tap:
            return DeviceKind::tap;
        case config::DeviceKind::memif:
            return DeviceKind::memif;
        case config::DeviceKind::vdev:
            break;
    }
    return DeviceKind::vdev;
}

MemoryMode memory_mode(config::Hugepages hugepages) noexcept {
    switch (hugepages) {
        case config::Hugepages::require:
            return MemoryMode::hugepages;
        case config::Hugepages::never:
            return MemoryMode::no_huge;
        case config::Hugepages::automatic:
            break;
    }
    return MemoryMode::automatic;
}

AeadChoice aead_choice(config::Crypto crypto) noexcept {
    switch (crypto) {
        case config::Crypto::cross_packet:
            return AeadChoice::cross_packet;
        case config::Crypto::ipsec_mb:
            return AeadChoice::ipsec_mb;
        case config::Crypto::libsodium:
            return AeadChoice::libsodium;
        case config::Crypto::automatic:
            break;
    }
    return AeadChoice::automatic;
}

PortOptions port_options(const config::Port& port) {
    return {.name = port.name,
            .enabled = port.enabled,
            .device = device_kind(port.device.kind),
            .device_argument = port.device.argument,
            .role = role_of(port),
            .vlan = port.vlan.value_or(kNoVlan),
            .mtu_bytes = port.mtu_bytes,
            .mac = port.mac,
            .twin = has_twin(port) ? config::twin_of(port) : ""};
}

}  // namespace

DataplaneOptions dataplane_options(const config::Model& model) {
    DataplaneOptions options;
    for (const config::Port& port : model.ports)
        options.ports.push_back(port_options(port));
    if (std::ranges::any_of(model.ports, config::has_twin))
        options.overlay_interface = model.node.interface;
    options.nb_workers = model.dataplane.workers;
    options.cores = model.dataplane.cores;
    options.idle = model.dataplane.idle == config::Idle::busy ? IdleMode::busy : IdleMode::adaptive;
    options.memory = memory_mode(model.dataplane.hugepages);
    options.aead = aead_choice(model.dataplane.crypto);
    options.memory_mib = static_cast<unsigned>(model.dataplane.memory_bytes >> 20);
    options.max_peers = model.dataplane.max_peers;
    return options;
}

}  // namespace meshgate::control
