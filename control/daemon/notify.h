// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/time.h"

namespace meshgate::control {

// What the service manager hears from us (sd_notify); silent when there is none.
class Notify {
public:
    void ready(const std::string& status);
    void reloading(const Now& now);
    void stopping();
    void status(const std::string& status);  // sent when it changed

    // While every worker turns or sleeps, about every second.
    void feed_watchdog();

private:
    std::string last_status_;
};

}  // namespace meshgate::control
