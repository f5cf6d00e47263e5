// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/notify.h"

#include <systemd/sd-daemon.h>

namespace meshgate::control {

void Notify::ready(const std::string& status) {
    last_status_ = status;
    sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
}

// "notify-reload" wants the moment of the reload on the monotonic clock.
void Notify::reloading(const Now& now) {
    sd_notify(0, ("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.mono_ns() / 1000)).c_str());
}

void Notify::stopping() {
    sd_notify(0, "STOPPING=1");
}

void Notify::status(const std::string& status) {
    if (status == last_status_)
        return;
    last_status_ = status;
    sd_notify(0, ("STATUS=" + status).c_str());
}

void Notify::feed_watchdog() {
    sd_notify(0, "WATCHDOG=1");
}

}  // namespace meshgate::control
