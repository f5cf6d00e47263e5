// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libmnl/libmnl.h>

#include <memory>
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

struct HostAddress {
    unsigned interface_index = 0;
    Prefix prefix;  // the address, with its host bits
};

// Links and addresses of the kernel in our network namespace.
class Rtnetlink {
public:
    static Result<Rtnetlink> open();

    // Readable when a link or an address changed.
    int watch_fd() const noexcept { return mnl_socket_get_fd(watch_.get()); }
    // Takes what came; true: something changed. What changed is asked for afterwards, so that
    // messages which the kernel could not queue are no loss.
    bool drain() noexcept;

    Result<std::vector<HostAddress>> addresses();
    // Success when it is there already.
    Result<void> add_address(const HostAddress& address);

private:
    Rtnetlink(MnlSocket watch, MnlSocket asking) noexcept
        : watch_{std::move(watch)}, asking_{std::move(asking)} {}

    MnlSocket watch_;
    MnlSocket asking_;
};

}  // namespace meshgate::control
