// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace meshgate::control {

namespace {

constexpr Capabilities bit(unsigned capability) noexcept {
    return Capabilities{1} << capability;
}

// Locked memory is for all: keys must not be swapped out, rings must not be paged.
constexpr Capabilities kAlways = bit(CAP_IPC_LOCK);

Capabilities needed_by(config::DeviceKind kind) noexcept {
    switch (kind) {
        case config::DeviceKind::af_packet:
            return bit(CAP_NET_RAW) | bit(CAP_NET_ADMIN);
        case config::DeviceKind::af_xdp:
            return bit(CAP_NET_RAW) | bit(CAP_NET_ADMIN) | bit(CAP_BPF);
        case config::DeviceKind::tap:
            return bit(CAP_NET_ADMIN);
        case config::DeviceKind::vdev:  // whatever driver that is
            return bit(CAP_NET_RAW) | bit(CAP_NET_ADMIN) | bit(CAP_BPF);
        case config::DeviceKind::pci:  // the device file has a group
        case config::DeviceKind::memif:
            break;
    }
    return 0;
}

}  // namespace

Capabilities needed_capabilities(const std::vector<config::Port>& ports) noexcept {
    Capabilities needed = kAlways;
    for (const config::Port& port : ports) {
        needed |= needed_by(port.device.kind);
        if (port.host)  // a kernel interface, its addresses and routes
            needed |= bit(CAP_NET_ADMIN);
    }
    return needed;
}

Result<void> keep_capabilities(Capabilities kept) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (syscall(SYS_capget, &header, sets.data()) != 0)
        return fail(errno, "capget");
    for (unsigned i = 0; i < sets.size(); ++i) {
        const auto word = static_cast<uint32_t>(kept >> (32 * i));
        sets[i].permitted &= word;
        sets[i].effective &= word;
        sets[i].inheritable &= word;
    }
    // Ambient capabilities go with the permitted and inheritable ones.
    if (syscall(SYS_capset, &header, sets.data()) != 0)
        return fail(errno, "capset");
    return {};
}

}  // namespace meshgate::control
