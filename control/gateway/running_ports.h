// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/time.h"
#include "config/model.h"
#include "control/log/log.h"

namespace meshgate::control {

// The ports of the box file as they run: with the addresses, gateways and MTU that the machine's
// kernel gave to those with `addresses: host`. Ports are named by their place: one that is disabled
// keeps it, without anything that packets or neighbours could find there.
class RunningPorts {
public:
    RunningPorts(std::vector<config::Port> model, Log& log);

    // Another box file. What the kernel gave stays until it says otherwise.
    void set_model(std::vector<config::Port> model);
    // The model's ports, filled in with what the kernel gives now. False: that is as before.
    bool take_given(std::vector<config::Port> ports, Time now);

    const std::vector<config::Port>& all() const noexcept { return ports_; }

private:
    void log_change(const config::Port& before, const config::Port& after, Time now);

    std::vector<config::Port> ports_;
    Log& log_;
};

}  // namespace meshgate::control
