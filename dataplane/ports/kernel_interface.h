// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "base/address.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace meshgate {

// The kernel interface that a port stands on. Asked by ioctl, not by /sys, which may show another
// network namespace than the one we run in.
class KernelInterface {
public:
    struct State {
        bool enabled = false;  // administratively up
        bool carrier = false;
        unsigned mtu_bytes = 0;
        MacAddress mac;
    };

    // Succeeds whether there is such an interface or not.
    static Result<KernelInterface> open(std::string name);

    const std::string& name() const noexcept { return name_; }
    // Empty: no such interface here.
    std::optional<State> read() const;
    unsigned index() const;  // 0: likewise
    // ARPHRD_ETHER, ARPHRD_PPP ...
    unsigned hardware_type() const;
    // Receive queues that are in use; 1 when it does not say.
    unsigned nb_rx_queues() const;
    // The command that leaves one of them.
    std::string one_queue_command() const;
    // "veth"; empty when it does not say.
    std::string driver() const;
    Result<void> set_up();
    Result<void> set_mtu(unsigned mtu_bytes);
    Result<void> set_mac(const MacAddress& mac);
    // Switches off what joins received packets to larger ones (GRO, LRO, in software or hardware),
    // which no ring frame would hold. True when any of it was on; quietly does nothing where the
    // driver cannot.
    bool stop_joining_packets();
    // Goes after the kernel end of a tap device, whatever network namespace and name it was given.
    enum class Followed : uint8_t { found, not_allowed, gone };
    Followed follow(int tap_fd);

private:
    KernelInterface(std::string name, UniqueFd socket) noexcept
        : name_{std::move(name)}, socket_{std::move(socket)} {}
    bool ask_ethtool(void* command) const noexcept;

    std::string name_;
    UniqueFd socket_;  // any one of the network namespace
};

}  // namespace meshgate
