// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/lab/injector/frame.h"

namespace meshgate::lab {

// All frames of one interface, read and written in batches. Exits the program when it cannot open
// the interface: there is nothing to do without.
class PacketSocket {
public:
    explicit PacketSocket(const std::string& interface);

    int fd() const { return fd_; }
    // What waits, at most a batch. VLAN tags that the kernel took off are put back.
    std::vector<Frame> receive();
    // Returns how many the interface did not take.
    uint64_t send(const std::vector<Frame>& frames);
    // Frames the kernel dropped because we were too slow, since the last call.
    uint64_t missed();

private:
    int fd_;
};

}  // namespace meshgate::lab
