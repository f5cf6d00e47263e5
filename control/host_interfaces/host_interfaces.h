// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "config/model.h"
#include "control/host_interfaces/ingress_drop.h"
#include "control/host_interfaces/kernel_settings.h"
#include "control/host_interfaces/rtnetlink.h"
#include "control/host_interfaces/twins.h"
#include "control/log/log.h"

namespace meshgate::control {

// Keeps the machine's kernel off the interfaces that our ports stand on. Left alone it would be a
// second box on the same wire: forward in clear what we forward, and answer what we answer. What we
// change is put back when the daemon ends, after a crash when the next one ends. Addresses that box
// and kernel share are only reported. Control thread only; never waits.
class HostInterfaces {
public:
    struct Options {
        std::string state_folder;  // empty: what was found does not outlive a crash
        std::string settings_root = "/proc/sys/net";
        std::string boot_id;
        std::string owner = "meshgate";  // of the interfaces that we make
    };
    static std::string present_boot_id();

    HostInterfaces(const std::vector<config::Port>& ports, Options options, Log& log);
    HostInterfaces(const HostInterfaces&) = delete;
    HostInterfaces& operator=(const HostInterfaces&) = delete;
    ~HostInterfaces();

    // Readable when the kernel's links or addresses changed: call on_event(), then tick(). -1:
    // none.
    int watch_fd() const noexcept { return netlink_ ? netlink_->watch_fd() : -1; }
    void on_event() noexcept;
    // Takes what appeared, repairs what others changed, looks at the kernel's addresses. At every
    // event, and some times a second.
    void tick(Time now);
    // The same, at once.
    void look(Time now) {
        changed_ = true;
        tick(now);
    }
    // Before the dataplane makes kernel interfaces: fails where a name is somebody else's.
    Result<void> claim_twins(const config::Model& model);
    Twins& twins() noexcept { return twins_; }
    const Twins& twins() const noexcept { return twins_; }

    // Their addresses may have changed; interfaces do not while we run.
    void set_ports(const std::vector<config::Port>& ports);

    // An address of a port that the kernel has too.
    struct Twice {
        Prefix address;  // as the kernel has it
        std::string interface;
        bool operator==(const Twice&) const = default;
    };
    struct Port {
        std::string interface;  // empty: it stands on none that is the kernel's
        unsigned index = 0;     // 0: not there
        bool shut_out = false;  // the kernel takes no frame of it
        std::string failure;    // why not
        uint64_t nb_repairs = 0;
        Time repaired{};  // the last time
        std::vector<IpAddress> addresses;
        std::vector<Twice> twice;
    };
    const std::vector<Port>& ports() const noexcept { return ports_; }

private:
    void take(Port& port, const std::string& name);
    void release(Port& port);
    void make_drop();
    void shut_out(Port& port, const std::string& name);
    void repair(Port& port, const std::string& name, Time now);
    bool look_at_addresses(Time now);
    FoundInterface remember(const Port& port);
    void forget(const std::string& interface);
    void give_back(const FoundInterface& found);
    void keep_found();
    void warn(std::string_view event, const std::string& subject, const std::string& text);

    Options options_;
    Log& log_;
    KernelSettings settings_;
    Twins twins_;
    std::optional<Rtnetlink> netlink_;
    std::optional<IngressDrop> drop_;
    std::string no_drop_;             // why there is none
    std::vector<std::string> names_;  // of the ports, for messages
    std::vector<Port> ports_;         // by PortId
    std::vector<HostAddress> addresses_;
    std::vector<FoundInterface> found_;
    bool changed_ = true;
    Time checked_{};
};

}  // namespace meshgate::control
