// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libmnl/libmnl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace meshgate::control {

struct MnlClose {
    void operator()(mnl_socket* socket) const noexcept { mnl_socket_close(socket); }
};
using MnlSocket = std::unique_ptr<mnl_socket, MnlClose>;

// A socket of one netlink family, closed with the process; null and errno when there is none.
MnlSocket open_netlink(int family) noexcept;
// Sends `len` bytes of requests, one of which asks for an acknowledgement or a dump, and hands each
// answer to `on_answer`; 0, or the errno of the first request that was refused. The kernel answers
// before the call to send returns, so that this never waits.
int ask(mnl_socket* socket, const void* requests, size_t len, mnl_cb_t on_answer = nullptr,
        void* data = nullptr) noexcept;

// What addresses and routes of ours are marked with, as those of routing daemons are with theirs
// (rtm_protocol, IFA_PROTO): `ip route show proto 176`.
constexpr uint8_t kOurProtocol = 176;

struct HostAddress {
    unsigned interface_index = 0;
    Prefix prefix;            // the address, with its host bits
    uint8_t protocol = 0;     // who put it there; 0: does not say
    bool usable = true;       // nobody else on the link was found to have it, nor may be
    bool deprecated = false;  // its preferred life is over: not for what is new
    bool temporary = false;   // made for privacy (RFC 8981)
};

struct HostLink {
    unsigned index = 0;
    std::string name;
    std::string alias;
    uint16_t mtu_bytes = 0;       // 0: not known
    uint16_t ipv6_mtu_bytes = 0;  // may be less: routers advertise it
};

// Of the main table, by one interface.
struct HostRoute {
    Prefix destination;
    unsigned interface_index = 0;
    std::optional<IpAddress> gateway;
    std::optional<IpAddress> source;  // that the kernel prefers for what it sends there
    uint32_t metric = 0;
    uint8_t protocol = 0;
    bool on_link = false;  // the gateway is on the wire, whatever the addresses say
    int preference = 0;    // of a router, as it advertised it: -1, 0 or 1 (RFC 4191)
    bool usable = true;    // neither dead nor expired

    auto operator<=>(const HostRoute&) const = default;
};

// Links, addresses and routes of the kernel in our network namespace.
class Rtnetlink {
public:
    static Result<Rtnetlink> open();

    // Readable when a link, an address or a route changed.
    int watch_fd() const noexcept { return mnl_socket_get_fd(watch_.get()); }
    // Takes what came; true: something changed, other than routes that routes() leaves out. What
    // changed is asked for afterwards, so that messages which the kernel could not queue are no
    // loss.
    bool drain() noexcept;

    Result<std::vector<HostAddress>> addresses();
    Result<std::vector<HostLink>> links();
    Result<HostLink> link(unsigned index);
    // Default routes, and those that are marked as ours.
    Result<std::vector<HostRoute>> routes(unsigned interface_index);
    // Success when it is there already, or gone already.
    Result<void> add_address(const HostAddress& address);
    Result<void> remove_address(const HostAddress& address);
    Result<void> add_route(const HostRoute& route);
    Result<void> remove_route(const HostRoute& route);
    // Writes the alias, and sets the interface up; with that MTU, unless it is 0.
    Result<void> claim_link(unsigned index, const std::string& alias, uint16_t mtu_bytes);
    Result<void> remove_link(unsigned index);

private:
    Rtnetlink(MnlSocket watch, MnlSocket asking) noexcept
        : watch_{std::move(watch)}, asking_{std::move(asking)} {}
    Result<void> change_address(uint16_t type, uint16_t flags, const HostAddress& address);
    Result<void> change_route(uint16_t type, uint16_t flags, const HostRoute& route);

    MnlSocket watch_;
    MnlSocket asking_;
};

}  // namespace meshgate::control
