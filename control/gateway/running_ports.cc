// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/running_ports.h"

#include <algorithm>
#include <utility>

namespace meshgate::control {

namespace {

std::vector<config::Port> without_disabled(std::vector<config::Port> ports) {
    for (config::Port& port : ports) {
        if (port.enabled)
            continue;
        port.addresses.clear();
        port.deprecated.clear();
        port.gateway_v4.reset();
        port.gateway_v6.reset();
    }
    return ports;
}

}  // namespace

RunningPorts::RunningPorts(std::vector<config::Port> model, Log& log)
    : ports_{without_disabled(std::move(model))}, log_{log} {}

void RunningPorts::set_model(std::vector<config::Port> model) {
    for (size_t i = 0; i < model.size() && i < ports_.size(); ++i) {
        const config::Port& before = ports_[i];
        if (!model[i].addresses_from_host || !before.addresses_from_host)
            continue;
        model[i].addresses = before.addresses;
        model[i].gateway_v4 = before.gateway_v4;
        model[i].gateway_v6 = before.gateway_v6;
        model[i].deprecated = before.deprecated;
        model[i].mtu_bytes = std::min(model[i].mtu_bytes, before.mtu_bytes);
    }
    ports_ = without_disabled(std::move(model));
}

bool RunningPorts::take_given(std::vector<config::Port> ports, Time now) {
    ports = without_disabled(std::move(ports));
    if (ports == ports_)
        return false;
    for (size_t i = 0; i < ports.size(); ++i)
        log_change(ports_.at(i), ports[i], now);
    ports_ = std::move(ports);
    return true;
}

void RunningPorts::log_change(const config::Port& before, const config::Port& after, Time now) {
    if (after.mtu_bytes != before.mtu_bytes)
        log_.write({Log::Level::info, "port-mtu", after.name,
                    "the MTU is " + std::to_string(after.mtu_bytes) + " now, as that of its twin"},
                   now);
    if (after.addresses == before.addresses)
        return;
    std::string text;
    for (const Prefix& address : after.addresses)
        text += (text.empty() ? "" : ", ") + to_string(address);
    log_.write(
        {Log::Level::info, "addresses", after.name,
         text.empty() ? "no address on its twin can be used any more" : "from the kernel: " + text},
        now);
}

}  // namespace meshgate::control
