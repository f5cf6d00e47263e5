// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/listen_ports.h"

#include <algorithm>
#include <utility>

namespace meshgate::control {

namespace {

// REJECT_AFTER_TIME: no session that used the old port is older.
constexpr auto kOldListenPortLifetime = std::chrono::seconds{180};

}  // namespace

void ListenPorts::set(uint16_t port, Time now) {
    const uint16_t before = std::exchange(port_, port);
    std::erase_if(old_, [&](const Old& old) { return old.port == port; });
    if (before != port)
        old_.push_back({before, now + kOldListenPortLifetime});
}

bool ListenPorts::tick(Time now) {
    return std::erase_if(old_, [now](const Old& old) { return old.expires <= now; }) > 0;
}

Time ListenPorts::next_deadline() const noexcept {
    Time deadline = kNever;
    for (const Old& old : old_)
        deadline = std::min(deadline, old.expires);
    return deadline;
}

std::vector<uint16_t> ListenPorts::all() const {
    std::vector<uint16_t> result{port_};
    for (const Old& old : old_)
        result.push_back(old.port);
    return result;
}

}  // namespace meshgate::control
