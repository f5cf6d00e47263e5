// SPDX-License-Identifier: Apache-2.0
#include <unordered_map>

#include "config/validate/complain.h"
#include "config/validate/validate.h"

namespace meshgate::config {
namespace {

constexpr size_t kMaxPorts = 16;             // of a box
constexpr size_t kMaxInterfaceNameLen = 15;  // IFNAMSIZ, less its end
constexpr uint16_t kMinIpv6Mtu = 1280;       // RFC 8200, section 5

Path port_path(size_t port, std::string_view key, int item = -1) {
    return Path{.group = "ports", .index = static_cast<int>(port), .key = key, .item = item};
}

// An interface of the kernel, however it is opened; else empty.
std::string kernel_interface(const Device& device) {
    const bool kernel = device.kind == DeviceKind::af_packet || device.kind == DeviceKind::af_xdp ||
                        device.kind == DeviceKind::tap;
    return kernel ? device.argument : "";
}

bool same_device(const Device& a, const Device& b) {
    if (a.argument.empty() || b.argument.empty())
        return false;
    return a == b || (!kernel_interface(a).empty() && kernel_interface(a) == kernel_interface(b));
}

class PortRules {
public:
    PortRules(const YamlNode& root, const Model& model, Report& report)
        : ports_{model.ports}, interface_{model.node.interface}, complain_{root, report} {}

    void run() const {
        if (ports_.size() > kMaxPorts) {
            complain_
                .error("too-many-ports", port_path(kMaxPorts, ""),
                       std::to_string(ports_.size()) + " ports; a box has 16 at most")
                .fix = "remove ports from here on";
            return;
        }
        bool any_wan = false;
        for (size_t i = 0; i < ports_.size(); ++i) {
            any_wan = any_wan || (ports_[i].enabled && is_wan(ports_[i].role)) ||
                      !complain_.sound(port_path(i, "role"));
            check_unique(i);
            check_addresses(i);
            check_mtu(i);
            check_gateway(i, ports_[i].gateway_v4);
            check_gateway(i, ports_[i].gateway_v6);
            check_priority(i);
            check_twin(i);
            check_wan_only(i, "on_link", ports_[i].on_link);
            check_wan_only(i, "metered", ports_[i].metered);
            check_wan_only(i, "cost_bias", ports_[i].cost_bias > 0);
            check_wan_only(i, "udp_checksum", ports_[i].udp_checksum != UdpChecksum::always);
        }
        const Path all{.group = "ports"};
        if (!any_wan && complain_.sound(all))
            complain_.error("no-wan", all, "there is no port with role wan that is enabled").fix =
                "give the port on the internet side role: wan";
    }

private:
    void check_unique(size_t i) const {
        for (size_t j = 0; j < i; ++j) {
            if (!ports_[i].name.empty() && ports_[i].name == ports_[j].name) {
                Diagnostic& diagnostic =
                    complain_.error("name-twice", port_path(i, "name"),
                                    "another port is called '" + ports_[i].name + "'");
                diagnostic.fix = "choose another name";
                diagnostic.related.push_back(complain_.related(port_path(j, "name"), "the other"));
            }
            if (same_device(ports_[i].device, ports_[j].device)) {
                Diagnostic& diagnostic =
                    complain_.error("device-twice", port_path(i, "device"),
                                    "another port uses " + ports_[i].device.argument);
                diagnostic.fix = "each device serves one port";
                diagnostic.related.push_back(
                    complain_.related(port_path(j, "device"), "the other"));
            }
        }
    }

    void check_addresses(size_t i) const {
        for (size_t a = 0; a < ports_[i].addresses.size(); ++a)
            for (size_t j = 0; j <= i; ++j)
                for (size_t b = 0; b < (j < i ? ports_[j].addresses.size() : a); ++b)
                    check_pair(i, a, j, b);
    }

    void check_pair(size_t i, size_t a, size_t j, size_t b) const {
        const Prefix& address = ports_[i].addresses[a];
        const Prefix& other = ports_[j].addresses[b];
        const auto complain = [&](std::string_view code, const std::string& message,
                                  const char* fix) {
            const Path path = port_path(i, "addresses", static_cast<int>(a));
            const Path other_path = port_path(j, "addresses", static_cast<int>(b));
            Diagnostic& diagnostic = complain_.error(code, path, message);
            diagnostic.fix = fix;
            diagnostic.related.push_back(complain_.related(other_path, to_string(other)));
        };
        if (address.address.family == Family::none || complain_.full())
            return;
        if (address.address == other.address)
            complain("address-twice", to_string(address.address) + " stands here twice",
                     "remove one of the two");
        else if (i != j && address.overlaps(other))
            complain("network-overlap",
                     to_string(address) + " and " + to_string(other) + " are on two ports",
                     "give each port networks of its own");
    }

    void check_twin(size_t i) const {
        const Port& port = ports_[i];
        if (port.addresses_from_host && !port.host && complain_.sound(port_path(i, "host")))
            complain_
                .error("no-twin", port_path(i, "addresses"),
                       "addresses of the kernel's come from the twin of the port, and it has none")
                .fix = "add host: true";
        if (port.addresses_from_host && (port.gateway_v4 || port.gateway_v6))
            complain_
                .error("gateway-from-host", port_path(i, "gateway"),
                       "with addresses: host the kernel's default route is the gateway")
                .fix = "remove it, or write the addresses of this port";
        if (!port.host) {
            if (!port.host_name.empty())
                complain_
                    .error("no-twin", port_path(i, "host_name"), "this port has no twin to name")
                    .fix = "add host: true, or remove host_name";
            return;
        }
        const std::string name = twin_of(port);
        if (name.size() > kMaxInterfaceNameLen)
            complain_
                .error("bad-interface", port_path(i, "name"),
                       "too long for an interface of the kernel, and the twin has this name")
                .fix = "add host_name: with at most 15 characters";
        if (const std::string user = user_of(i, name); !user.empty())
            complain_
                .error("interface-twice",
                       port_path(i, port.host_name.empty() ? "name" : "host_name"),
                       "the twin would be called " + name + ", and that is " + user)
                .fix = port.host_name.empty() ? "add host_name:, or give the port another name"
                                              : "choose another name";
    }

    // Who else has that interface; empty: nobody.
    std::string user_of(size_t i, const std::string& name) const {
        if (name == interface_)
            return "node.interface";
        for (size_t j = 0; j < ports_.size(); ++j) {
            if (kernel_interface(ports_[j].device) == name)
                return "the interface that port " + ports_[j].name + " stands on";
            if (j < i && twin_of(ports_[j]) == name)
                return "the twin of port " + ports_[j].name;
        }
        return "";
    }

    // Links, and so their costs, are ways through the internet.
    void check_wan_only(size_t i, std::string_view key, bool set) const {
        if (set && ports_[i].role == Role::lan && complain_.sound(port_path(i, "role")))
            complain_
                .error("wan-only", port_path(i, key), "this says something about wan ports only")
                .fix = "remove it, or correct the role of this port";
    }

    void check_priority(size_t i) const {
        if (ports_[i].priority > 0 && !ports_[i].vlan && complain_.sound(port_path(i, "vlan")))
            complain_
                .error("priority-without-vlan", port_path(i, "priority"),
                       "the priority stands in the VLAN tag, and this port sends none")
                .fix = "add vlan: with the number that the provider gave";
    }

    void check_mtu(size_t i) const {
        const Port& port = ports_[i];
        bool any_ipv6 = false;
        for (const Prefix& address : port.addresses)
            any_ipv6 = any_ipv6 || address.address.is_v6();
        if (any_ipv6 && port.mtu_bytes < kMinIpv6Mtu)
            complain_
                .error("bad-mtu", port_path(i, "mtu"),
                       "too small for IPv6, and this port has an IPv6 address")
                .allowed.emplace_back("a whole number from 1280 to 9000");
    }

    void check_gateway(size_t i, const std::optional<IpAddress>& gateway) const {
        if (!gateway || ports_[i].addresses_from_host || complain_.full())
            return;
        const Path path = port_path(i, "gateway");
        const Port& port = ports_[i];
        const std::string text = to_string(*gateway);
        if (port.role == Role::lan && complain_.sound(port_path(i, "role"))) {
            if (complain_.sound(path))
                complain_.error("gateway-on-lan", path, "a lan port has no gateway").fix =
                    "remove it; networks behind a router of the site go into routes";
            return;
        }
        bool connected = port.on_link || (gateway->is_v6() && gateway->is_link_local());
        std::string networks;
        for (const Prefix& address : port.addresses) {
            if (address.address.family == Family::none)
                return;  // refused already, and perhaps the one
            if (address.address == *gateway) {
                complain_.error("bad-gateway", path, text + " is the port's own address").fix =
                    "write the address of the provider's router";
                return;
            }
            connected = connected || address.contains(*gateway);
            networks += (networks.empty() ? "" : ", ") + to_string(address.network());
        }
        if (connected || !complain_.sound(port_path(i, "addresses")))
            return;
        Diagnostic& diagnostic = complain_.error("gateway-not-connected", path,
                                                 text + " is not on a network of this port");
        diagnostic.allowed.push_back("an address in " + networks);
        diagnostic.fix = "if it is on the wire all the same, add on_link: true";
    }

    const std::vector<Port>& ports_;
    const std::string& interface_;
    Complainer complain_;
};

class RouteRules {
public:
    RouteRules(const YamlNode& root, const Model& model, Report& report)
        : model_{model}, complain_{root, report} {}

    void run() {
        for (size_t i = 0; i < model_.routes.size() && !complain_.full(); ++i) {
            check_kind(i);
            check_unique(i);
            if (model_.routes[i].via)
                check_via(i, *model_.routes[i].via);
        }
    }

private:
    static Path path(size_t route, std::string_view key) {
        return Path{.group = "routes", .index = static_cast<int>(route), .key = key};
    }

    void check_kind(size_t i) const {
        const bool via = complain_.given(path(i, "via"));
        const bool blackhole = complain_.given(path(i, "blackhole"));
        if (via && blackhole)
            complain_
                .error("bad-route", path(i, "blackhole"), "via and blackhole exclude each other")
                .fix = "keep one of the two";
        else if (!via && !blackhole)
            complain_.error("bad-route", path(i, ""), "this route leads nowhere").fix =
                "add via: ADDRESS of the router, or blackhole: true";
    }

    void check_unique(size_t i) {
        const Prefix& prefix = model_.routes[i].prefix;
        if (prefix.address.family == Family::none)
            return;
        const auto [first, fresh] = seen_.emplace(to_string(prefix), i);
        if (!fresh) {
            Diagnostic& diagnostic =
                complain_.error("route-twice", path(i, "prefix"), "another route has this prefix");
            diagnostic.fix = "keep one of the two";
            diagnostic.related.push_back(
                complain_.related(path(first->second, "prefix"), "the other"));
        }
        for (const Port& port : model_.ports)
            for (const Prefix& address : port.addresses)
                if (address.network() == prefix)
                    complain_
                        .error("route-connected", path(i, "prefix"),
                               "port " + port.name + " is on this very network")
                        .fix = "remove the route";
    }

    void check_via(size_t i, const IpAddress& via) const {
        const IpAddress& destination = model_.routes[i].prefix.address;
        if (destination.family != Family::none && destination.family != via.family) {
            complain_.error("bad-route", path(i, "via"), "prefix and via are of two families").fix =
                "write an address of the family of the prefix";
            return;
        }
        std::string networks;
        for (const Port& port : model_.ports) {
            if (is_lan(port.role) && port.addresses_from_host)
                return;  // its networks are not known yet
            for (const Prefix& address : port.addresses) {
                if (address.address.family == Family::none)
                    return;  // refused already, and perhaps the one
                if (address.address == via) {
                    complain_.error("bad-route", path(i, "via"), "this is our own address").fix =
                        "write the address of the router that leads there";
                    return;
                }
                if (is_lan(port.role) && address.contains(via))
                    return;
                if (is_lan(port.role) && address.address.family == via.family)
                    networks += (networks.empty() ? "" : ", ") + to_string(address.network());
            }
        }
        Diagnostic& diagnostic = complain_.error("via-not-connected", path(i, "via"),
                                                 to_string(via) + " is not on a lan network");
        if (networks.empty())
            diagnostic.fix = "give a lan port an address on the network of this router";
        else
            diagnostic.allowed.push_back("an address in " + networks);
    }

    const Model& model_;
    Complainer complain_;
    std::unordered_map<std::string, size_t> seen_;
};

}  // namespace

void validate_ports(const YamlNode& root, const Model& model, Report& report) {
    PortRules{root, model, report}.run();
}

void validate_routes(const YamlNode& root, const Model& model, Report& report) {
    RouteRules{root, model, report}.run();
}

}  // namespace meshgate::config
