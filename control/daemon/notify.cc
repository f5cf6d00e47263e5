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

void Notify::feed_watchdog(const Dataplane& dataplane) {
    const unsigned nb_workers = dataplane.options().nb_workers;
    const bool first = turns_.empty();
    turns_.resize(nb_workers);
    bool all_alive = true;
    for (unsigned i = 0; i < nb_workers; ++i) {
        const uint64_t turns = dataplane.counters(i).turns.get();
        const bool moved = first || turns != turns_[i];
        all_alive = all_alive && (moved || dataplane.worker_status(i).asleep);
        turns_[i] = turns;
    }
    if (all_alive)
        sd_notify(0, "WATCHDOG=1");
}

}  // namespace meshgate::control
