// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/unique_fd.h"

namespace meshgate::control {

// A uevent: "ACTION@DEVPATH", then "KEY=VALUE" texts, each ended by a zero byte. True for the one
// that the vmgenid driver sends when the machine was copied or went back to a snapshot. Only the
// kernel is believed, whose netlink port is 0: others that are privileged may send to the group too,
// and could end all sessions.
bool is_vm_fork(std::span<const uint8_t> uevent, uint32_t sender_port) noexcept;

// Tells when this virtual machine became another one: its hypervisor changed the VM generation id.
// Control thread only; never waits.
class VmGeneration {
public:
    enum class Support : uint8_t {
        told,           // the kernel says when it happens
        no_device,      // no hypervisor gives this machine a generation id: hardware, or an old one
        kernel_silent,  // the kernel has one, but tells nobody (before Linux 6.8)
        no_socket,      // uevents cannot be received
    };

    // `sysfs_root`: "/sys"; `kernel_release`: as `uname -r` prints it.
    VmGeneration(const std::string& sysfs_root, const std::string& kernel_release);

    Support support() const noexcept { return support_; }
    // Readable when there are uevents: call take_fork(). -1: none.
    int watch_fd() const noexcept { return socket_.get(); }
    // Reads what has come; true when there was a fork, or when uevents were lost, among which one
    // may have been.
    bool take_fork() noexcept;

private:
    Support support_ = Support::no_device;
    UniqueFd socket_;
};

std::string kernel_release();

}  // namespace meshgate::control
