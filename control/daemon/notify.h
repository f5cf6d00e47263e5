// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// What the service manager hears from us (sd_notify); silent when there is none.
class Notify {
public:
    void ready(const std::string& status);
    void reloading(const Now& now);
    void stopping();
    void status(const std::string& status);  // sent when it changed

    // Feeds the watchdog while every worker turns or sleeps; call about every second.
    void feed_watchdog(const Dataplane& dataplane);

private:
    std::string last_status_;
    std::vector<uint64_t> turns_;  // by worker, at the last call
};

}  // namespace meshgate::control
