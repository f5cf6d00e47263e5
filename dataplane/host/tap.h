// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/address.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "dataplane/host/offload_header.h"

namespace meshgate {

// The kernel's end of something of ours, as a network interface: of Ethernet frames (the twin of a
// port) or of IP packets (the way into the network). It outlives the process, with the addresses
// and routes that the kernel has on it, until somebody deletes it; without us it has no carrier.
class Tap {
public:
    enum class Layer : uint8_t { ethernet, ip };
    // Makes the interface, or takes hold of the one that an earlier process left.
    static Result<Tap> open(std::string name, Layer layer);

    const std::string& name() const noexcept { return name_; }
    int fd() const noexcept { return fd_.get(); }

    // Hands one packet to the kernel; false when it does not take it, as while the interface is
    // down.
    bool write(std::span<const uint8_t> packet) noexcept;
    // What the kernel sends, which leaves to a NIC what NICs can do (super_packet.h).
    static constexpr size_t kMaxBytes = 65'536 + 64;
    struct Received {
        OffloadHeader header;
        std::span<const uint8_t> bytes;
    };
    // Empty when there is nothing. `buffer` holds kMaxBytes.
    std::optional<Received> read(std::span<uint8_t> buffer) noexcept;

    void set_carrier(bool up) noexcept;

private:
    Tap(std::string name, UniqueFd fd) noexcept : name_{std::move(name)}, fd_{std::move(fd)} {}

    std::string name_;
    UniqueFd fd_;
};

}  // namespace meshgate
