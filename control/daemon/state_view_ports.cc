// SPDX-License-Identifier: Apache-2.0
// The part of StateView that concerns ports and the interfaces below them.
#include <algorithm>

#include "control/daemon/state_view.h"

namespace meshgate::control {

namespace {

// What was repaired may happen again, and should be found.
constexpr auto kRepairTold = std::chrono::minutes{1};

void add_port_counters(PortStatusView& view, const Dataplane& dataplane, PortId port) {
    for (unsigned worker = 0; worker < dataplane.options().nb_workers; ++worker) {
        const PortCounters& counters = dataplane.counters(worker).ports[port];
        view.rx_packets += counters.rx_packets.get();
        view.rx_bytes += counters.rx_bytes.get();
        view.tx_packets += counters.tx_packets.get();
        view.tx_bytes += counters.tx_bytes.get();
    }
}

PortStatusView::Role role_of(config::Role role) noexcept {
    if (role == config::Role::one_arm)
        return PortStatusView::Role::one_arm;
    return is_wan(role) ? PortStatusView::Role::wan : PortStatusView::Role::lan;
}

std::vector<std::string> offloads_of(const PortStatus& status) {
    std::vector<std::string> result;
    if (status.rss)
        result.emplace_back("rss");
    if (status.tx_checksum_offload)
        result.emplace_back("tx-checksum");
    if (status.vlan_strip_offload)
        result.emplace_back("vlan-strip");
    return result;
}

// What the kernel does beside a port, each with its cure.
void add_host_problems(std::vector<std::string>& result, const std::string& name,
                       const HostInterfaces::Port& host, Time now) {
    if (!host.failure.empty())
        result.push_back(name + "  the kernel takes the packets of " + host.interface + " too (" +
                         host.failure +
                         "): it needs nf_tables with the netdev family, `modprobe nf_tables`");
    if (host.nb_repairs > 0 && now - host.repaired < kRepairTold)
        result.push_back(
            name + "  somebody let the kernel take the packets of " + host.interface + " again " +
            std::to_string(
                std::chrono::duration_cast<std::chrono::seconds>(now - host.repaired).count()) +
            " s ago; mended, but find out who (a firewall, a network manager)");
    for (const HostInterfaces::Twice& twice : host.twice)
        result.push_back(name + "  the kernel has " + to_string(twice.address.address) +
                         " too: `ip address delete " + to_string(twice.address) + " dev " +
                         twice.interface + "`");
}

}  // namespace

void StateView::add_port_problems(std::vector<std::string>& result) const {
    const auto& down_since = gateway_.links_down_since_ns();
    const Now now = gateway_.now();
    for (size_t i = 0; i < down_since.size(); ++i) {
        const std::string& name = gateway_.model().ports[i].name;
        const std::string problem =
            gateway_.dataplane().port_status(static_cast<PortId>(i)).problem;
        if (!gateway_.model().ports[i].enabled)
            continue;
        if (down_since[i] == 0 && !problem.empty())
            result.push_back(name + "  " + problem);
        if (down_since[i] == 0)
            continue;
        const uint64_t age_s = (now.wall_ns - std::min(now.wall_ns, down_since[i])) / kNsPerSecond;
        result.push_back(name + "  link is down for " + std::to_string(age_s) + " s" +
                         (problem.empty() ? "" : ": " + problem));
    }
    for (size_t i = 0; i < host_.ports().size(); ++i)
        add_host_problems(result, gateway_.model().ports.at(i).name, host_.ports()[i], now.mono);
    for (size_t i = 0; i < host_.twins().given().size(); ++i) {
        for (const std::string& problem : host_.twins().given()[i].problems)
            result.push_back(gateway_.model().ports.at(i).name + "  " + problem);
    }
    for (const std::string& problem : host_.twins().problems())
        result.push_back(problem);
    for (const config::Port& port : gateway_.running_ports()) {
        const auto id = static_cast<PortId>(&port - gateway_.running_ports().data());
        for (const auto& gateway : {port.gateway_v4, port.gateway_v6}) {
            if (gateway && gateway_.neighbors().is_silent(id, *gateway))
                result.push_back(port.name + "  gateway " + to_string(*gateway) +
                                 " does not answer");
        }
        if (port.addresses_from_host && config::is_wan(port.role) && !port.addresses.empty() &&
            !port.gateway_v4 && !port.gateway_v6)
            result.push_back(port.name + "  the kernel has no default route by " +
                             config::twin_of(port) +
                             ", so the box has no gateway: `ip route show default`, " +
                             "or let its DHCP client ask again");
    }
    for (const auto& [port, nb_peers] : gateway_.links().nb_moved())
        result.push_back(gateway_.model().ports.at(port).name + "  " + std::to_string(nb_peers) +
                         (nb_peers == 1 ? " peer answers" : " peers answer") +
                         " by another port only");
    for (const Neighbors::Conflict& conflict : gateway_.neighbors().conflicts())
        result.push_back(gateway_.model().ports.at(conflict.port).name + "  " +
                         to_string(conflict.mac) + " also claims our address " +
                         to_string(conflict.address));
}

std::vector<PortStatusView> StateView::ports() {
    std::vector<PortStatusView> result;
    const auto& ports = gateway_.running_ports();
    for (size_t i = 0; i < ports.size(); ++i) {
        const auto id = static_cast<PortId>(i);
        const PortStatus status = gateway_.dataplane().port_status(id);
        PortStatusView view;
        view.name = ports[i].name;
        view.enabled = ports[i].enabled;
        view.device = status.device;
        view.driver = status.driver;
        view.role = role_of(ports[i].role);
        view.up = status.link == LinkState::up;
        view.link_changes = status.link_changes;
        view.mac = status.mac;
        view.vlan = ports[i].vlan.value_or(0);
        view.priority = ports[i].priority;
        view.mtu_bytes = std::min(status.mtu_bytes, ports[i].mtu_bytes);
        view.addresses = ports[i].addresses;
        view.gateway = ports[i].gateway_v4.value_or(ports[i].gateway_v6.value_or(IpAddress{}));
        view.rx_queues = status.nb_rx_queues;
        view.tx_queues = status.nb_tx_queues;
        view.offloads = offloads_of(status);
        view.rx_missed = status.rx_missed;
        view.rx_errors = status.rx_errors;
        view.rx_nombuf = status.rx_nombuf;
        view.tx_errors = status.tx_errors;
        add_port_counters(view, gateway_.dataplane(), id);
        const HostInterfaces::Port& host = host_.ports().at(i);
        view.rebinds = status.rebinds;
        view.offload_repairs = status.offload_repairs;
        view.problem = status.problem;
        view.kernel_shut_out = host.interface.empty() || host.shut_out;
        view.kernel_repairs = host.nb_repairs;
        for (const HostInterfaces::Twice& twice : host.twice)
            view.kernel_addresses.push_back(to_string(twice.address) + " on " + twice.interface);
        view.twin = status.twin.name;
        view.to_host_packets = status.twin.to_host_packets;
        view.from_host_packets = status.twin.from_host_packets;
        result.push_back(std::move(view));
    }
    return result;
}

}  // namespace meshgate::control
