// SPDX-License-Identifier: Apache-2.0
#include "control/host_interfaces/host_interfaces.h"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

// What nobody tells us of (settings, chains) is looked at so often.
constexpr auto kCheckInterval = 1s;
constexpr const char* kFileName = "/interfaces";

std::string interface_of(const config::Port& port) {
    if (!port.enabled)
        return "";
    const bool on_kernel = port.device.kind == config::DeviceKind::af_packet ||
                           port.device.kind == config::DeviceKind::af_xdp;
    return on_kernel ? port.device.argument : "";
}

std::string name_of_index(unsigned index) {
    std::array<char, IF_NAMESIZE> name{};
    return if_indextoname(index, name.data()) != nullptr ? name.data() : "?";
}

std::string read_file(const std::string& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace

std::string HostInterfaces::present_boot_id() {
    const std::string id = read_file("/proc/sys/kernel/random/boot_id");
    return id.substr(0, id.find('\n'));
}

HostInterfaces::HostInterfaces(const std::vector<config::Port>& ports, Options options, Log& log)
    : options_{std::move(options)},
      log_{log},
      settings_{options_.settings_root},
      twins_{{.owner = options_.owner, .settings_root = options_.settings_root}, log} {
    auto netlink = Rtnetlink::open();
    if (netlink)
        netlink_.emplace(*std::move(netlink));
    else
        warn("kernel-interfaces", "", netlink.error().message);
    set_ports(ports);
    const bool any =
        std::ranges::any_of(ports_, [](const Port& port) { return !port.interface.empty(); });
    if (any)
        make_drop();
    if (!options_.state_folder.empty())
        found_ = parse_found(read_file(options_.state_folder + kFileName), options_.boot_id);
    // Of a run that crashed: what is no longer ours.
    const auto is_ours = [this](const FoundInterface& found) {
        return std::ranges::any_of(ports_,
                                   [&](const Port& port) { return port.interface == found.name; });
    };
    for (const FoundInterface& found : found_) {
        if (!is_ours(found))
            give_back(found);
    }
    std::erase_if(found_, [&](const FoundInterface& found) { return !is_ours(found); });
    tick(Time{});
}

HostInterfaces::~HostInterfaces() {
    for (const FoundInterface& found : found_)
        give_back(found);
    found_.clear();
    keep_found();
}

void HostInterfaces::set_ports(const std::vector<config::Port>& ports) {
    if (!ports_.empty() && twins_.ports() == ports)
        return;
    ports_.resize(ports.size());
    names_.resize(ports.size());
    for (size_t i = 0; i < ports.size(); ++i) {
        const std::string interface = interface_of(ports[i]);
        if (interface.empty() && !ports_[i].interface.empty())
            release(ports_[i]);
        ports_[i].interface = interface;
        names_[i] = ports[i].name;
        ports_[i].addresses.clear();
        for (const Prefix& address : ports[i].addresses)
            ports_[i].addresses.push_back(address.address);
    }
    twins_.set_ports(ports);
    changed_ = true;
}

Result<void> HostInterfaces::claim_twins(const config::Model& model) {
    const bool any = std::ranges::any_of(model.ports, config::has_twin);
    if (!netlink_)
        return any ? Result<void>{fail("twins need rtnetlink")} : Result<void>{};
    return twins_.claim(*netlink_, model);
}

void HostInterfaces::on_event() noexcept {
    changed_ = netlink_->drain() || changed_;
}

void HostInterfaces::tick(Time now) {
    const bool due = now - checked_ >= kCheckInterval;
    if (!changed_ && !due && !twins_.is_stale())
        return;
    changed_ = !look_at_addresses(now);
    for (size_t i = 0; i < ports_.size(); ++i) {
        Port& port = ports_[i];
        if (port.interface.empty())
            continue;
        const unsigned index = if_nametoindex(port.interface.c_str());
        if (index != std::exchange(port.index, index))
            take(port, names_[i]);
        else if (index != 0 && due)
            repair(port, names_[i], now);
    }
    if (due)
        checked_ = now;
}

// ---- an interface comes and goes ----

void HostInterfaces::take(Port& port, const std::string& name) {
    port.shut_out = false;
    port.failure.clear();
    const auto known = std::ranges::find(found_, port.interface, &FoundInterface::name);
    if (port.index == 0 || (known != found_.end() && known->index != port.index))
        forget(port.interface);
    if (port.index == 0)
        return keep_found();
    if (std::ranges::find(found_, port.interface, &FoundInterface::name) == found_.end()) {
        found_.push_back(remember(port));
        keep_found();  // before anything is changed
    }
    if (const auto applied = settings_.apply(port.interface); !applied)
        warn("kernel-settings", name, applied.error().message);
    shut_out(port, name);
}

// The port was switched off: the kernel has the interface as it had it before.
void HostInterfaces::release(Port& port) {
    if (port.shut_out)
        drop_->uncover(port.interface, port.index);
    for (const FoundInterface& found : found_) {
        if (found.name == port.interface)
            give_back(found);
    }
    forget(port.interface);
    keep_found();
    port = {};
}

void HostInterfaces::make_drop() {
    if (auto drop = IngressDrop::create())
        drop_.emplace(*std::move(drop));
    else
        no_drop_ = drop.error().message;
}

void HostInterfaces::shut_out(Port& port, const std::string& name) {
    if (!drop_ && no_drop_.empty())  // all ports were disabled at the start
        make_drop();
    const Result<void> covered =
        drop_ ? drop_->cover(port.interface, port.index) : Result<void>{fail(no_drop_)};
    port.shut_out = covered.has_value();
    if (covered)
        return;
    if (std::exchange(port.failure, covered.error().message) != covered.error().message)
        warn("kernel-not-shut-out", name, covered.error().message);
}

void HostInterfaces::repair(Port& port, const std::string& name, Time now) {
    const auto changed = settings_.apply(port.interface);
    const bool lost = port.shut_out && !drop_->covers(port.interface, port.index);
    if (lost || !port.shut_out)
        shut_out(port, name);
    if (!lost && (!changed || *changed == 0))
        return;
    ++port.nb_repairs;
    port.repaired = now;
    log_.write({Log::Level::warning, "kernel-kept-out", name,
                "somebody let the kernel take the packets of " + port.interface +
                    " again; it is kept from them once more"},
               now);
}

FoundInterface HostInterfaces::remember(const Port& port) {
    FoundInterface found{
        .name = port.interface, .index = port.index, .settings = {}, .addresses = {}};
    found.settings = settings_.read(port.interface);
    for (const HostAddress& address : addresses_) {
        const IpAddress& ip = address.prefix.address;
        if (address.interface_index == port.index && ip.is_v6() && !ip.is_link_local())
            found.addresses.push_back(address.prefix);
    }
    return found;
}

void HostInterfaces::forget(const std::string& interface) {
    std::erase_if(found_, [&](const FoundInterface& found) { return found.name == interface; });
}

void HostInterfaces::give_back(const FoundInterface& found) {
    if (if_nametoindex(found.name.c_str()) != found.index)
        return;  // what has the name now is another interface
    settings_.give_back(found.settings);
    for (const Prefix& address : found.addresses) {
        if (!netlink_)
            return;
        const auto added = netlink_->add_address({found.index, address});
        if (!added)
            warn("kernel-settings", found.name, added.error().message);
    }
}

// ---- what is written down ----

void HostInterfaces::keep_found() {
    if (options_.state_folder.empty())
        return;
    const std::string path = options_.state_folder + kFileName;
    if (found_.empty()) {
        std::remove(path.c_str());
        return;
    }
    const std::string next = path + ".new";
    std::ofstream file{next, std::ios::trunc};
    file << to_text(found_, options_.boot_id);
    file.close();
    if (!file || std::rename(next.c_str(), path.c_str()) != 0)
        warn("kernel-settings", "",
             "cannot write " + path + ": after a crash the kernel's settings are not given back");
}

// ---- addresses ----

// False: they changed meanwhile, and are to be read again.
bool HostInterfaces::look_at_addresses(Time now) {
    if (!netlink_)
        return true;
    auto addresses = netlink_->addresses();
    if (!addresses)
        return false;
    addresses_ = *std::move(addresses);
    twins_.tick(*netlink_, addresses_, changed_);
    for (size_t i = 0; i < ports_.size(); ++i) {
        std::vector<Twice> twice;
        for (const HostAddress& host : addresses_) {
            const bool on_twin = host.protocol == kOurProtocol || twins_.has(host.interface_index);
            if (!on_twin && std::ranges::find(ports_[i].addresses, host.prefix.address) !=
                                ports_[i].addresses.end())
                twice.push_back({host.prefix, name_of_index(host.interface_index)});
        }
        for (const Twice& each : twice) {
            if (std::ranges::find(ports_[i].twice, each) == ports_[i].twice.end())
                log_.write(
                    {Log::Level::warning, "address-twice", names_[i],
                     "the kernel has " + to_string(each.address) + " too, on " + each.interface},
                    now);
        }
        ports_[i].twice = std::move(twice);
    }
    return true;
}

void HostInterfaces::warn(std::string_view event, const std::string& subject,
                          const std::string& text) {
    log_.write({Log::Level::warning, event, subject, text, Log::Cause::administrator});
}

}  // namespace meshgate::control
