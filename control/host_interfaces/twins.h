// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "base/time.h"
#include "config/model.h"
#include "control/host_interfaces/given.h"
#include "control/host_interfaces/kernel_settings.h"
#include "control/host_interfaces/rtnetlink.h"
#include "control/log/log.h"

namespace meshgate::control {

// The kernel's interfaces that the dataplane makes: a twin for each port that has `host: true`, and
// the one that leads into the network. Puts our addresses and routes on them, marked as ours, so
// that what another run of us left is found again; reads the addresses that others put there.
// Control thread only; never waits.
class Twins {
public:
    struct Options {
        std::string owner;  // tells the interfaces of one daemon from those of another
        std::string settings_root;
    };
    Twins(Options options, Log& log) : options_{std::move(options)}, log_{log} {}
    ~Twins();
    Twins(const Twins&) = delete;
    Twins& operator=(const Twins&) = delete;

    // Before the dataplane makes them: removes those of earlier runs that are not wanted any more;
    // fails where a name is somebody else's.
    Result<void> claim(Rtnetlink& netlink, const config::Model& model);
    void set_ports(const std::vector<config::Port>& ports);
    const std::vector<config::Port>& ports() const noexcept { return ports_; }
    struct Network {
        std::vector<Prefix> destinations;      // that the kernel shall send into the network
        std::vector<Prefix> of_peers;          // of these; sorted
        std::vector<IpAddress> own_addresses;  // that are on no port
    };
    void set_network(Network network);
    // `changed`: links, addresses or routes, since the last call.
    void tick(Rtnetlink& netlink, const std::vector<HostAddress>& addresses, bool changed);
    // There is something to tell the kernel.
    bool is_stale() const noexcept { return stale_; }

    // Of ports with `addresses: host`, by PortId.
    const std::vector<Given>& given() const noexcept { return given_; }
    // `ports` with that.
    std::vector<config::Port> filled_in(std::vector<config::Port> ports) const;
    // One of our interfaces.
    bool has(unsigned interface_index) const noexcept;
    // What could not be done, and the cure.
    const std::vector<std::string>& problems() const noexcept { return problems_; }

private:
    struct Interface {
        std::string name;
        std::string alias;
        unsigned index = 0;             // 0: not there
        std::vector<Prefix> addresses;  // that we put there
        std::vector<HostRoute> routes;
        std::optional<size_t> port;  // whose twin it is; none: the network's
        bool given = false;          // a twin of which others set the addresses
    };

    std::vector<Interface> wanted() const;
    void adopt(Rtnetlink& netlink, const Interface& interface);
    void note_limits();
    void keep_settings(const Interface& interface);
    void keep_addresses(Rtnetlink& netlink, const Interface& interface,
                        const std::vector<HostAddress>& present);
    const std::vector<HostRoute>* routes_of(Rtnetlink& netlink, const Interface& interface);
    void keep_routes(Rtnetlink& netlink, const Interface& interface,
                     const std::vector<HostRoute>& present);
    void take_given(Rtnetlink& netlink, const Interface& interface,
                    const std::vector<HostAddress>& addresses,
                    const std::vector<HostRoute>& routes);
    Taken taken_beside(size_t port) const;
    const std::vector<Prefix>& addresses_of(size_t port) const;
    std::vector<HostRoute> network_routes() const;
    std::optional<IpAddress> identity(Family family) const;
    void note(const Result<void>& result);

    Options options_;
    Log& log_;
    std::string network_name_;
    std::vector<config::Port> ports_;
    Network network_;
    std::map<std::string, std::vector<HostRoute>> routes_;  // of our interfaces; none: to be read
    std::map<std::string, unsigned> indices_;  // of our interfaces, as of the last tick
    std::vector<Given> given_;
    std::vector<std::string> problems_;
    std::map<std::string, uint16_t> found_mtus_bytes_;  // of interfaces that an earlier run left
    bool claimed_ = false;
    bool stale_ = false;
    std::optional<Rtnetlink> at_end_;
};

}  // namespace meshgate::control
