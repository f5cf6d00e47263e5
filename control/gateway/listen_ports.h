// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"

namespace meshgate::control {

// The UDP port of the box file, and those before it: sessions that use one go on.
class ListenPorts {
public:
    explicit ListenPorts(uint16_t port) noexcept : port_{port} {}

    void set(uint16_t port, Time now);
    // True: some are out of use now.
    bool tick(Time now);
    Time next_deadline() const noexcept;
    std::vector<uint16_t> all() const;  // the present one first

private:
    struct Old {
        uint16_t port;
        Time expires;
    };

    uint16_t port_;
    std::vector<Old> old_;
};

}  // namespace meshgate::control
