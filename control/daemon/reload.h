// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "config/model.h"
#include "config/network_file.h"
#include "control/api/state_provider.h"
#include "control/gateway/gateway.h"
#include "control/log/log.h"

namespace meshgate::control {

// Reads the box file again and brings the gateway there: everything that can change live does,
// what needs a restart is left as it is and named, and a file with one error changes nothing.
class Reload {
public:
    // Both outlive this. `path`: the box file.
    Reload(Gateway& gateway, Log& log, std::string path);

    ReloadReport run(const Caller& caller);

    const std::string& path() const noexcept { return path_; }
    // On the wall clock.
    uint64_t applied_ns() const noexcept { return applied_ns_; }
    uint64_t last_attempt_ns() const noexcept { return last_attempt_ns_; }
    bool last_ok() const noexcept { return last_ok_; }

private:
    ReloadReport apply(config::Model after);
    void take_network(ReloadReport& report, config::NetworkLoad load);
    void write_log(const Caller& caller, const ReloadReport& report);

    Gateway& gateway_;
    Log& log_;
    std::string path_;
    uint64_t applied_ns_;
    uint64_t last_attempt_ns_ = 0;
    bool last_ok_ = true;
};

// `after` with all that needs a restart as it is in `before`: what may be applied now.
config::Model live_part(const config::Model& before, const config::Model& after);

}  // namespace meshgate::control
