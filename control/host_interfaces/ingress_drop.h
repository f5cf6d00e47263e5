// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "control/host_interfaces/rtnetlink.h"

namespace meshgate::control {

// Keeps the kernel's network stack from taking the frames of an interface, which af_packet only
// gets copies of: a chain of nftables at the interface's netdev ingress hook that has no rule and
// drops. Packet sockets, and XDP, come before that hook and see every frame. The table is owned
// (NFT_TABLE_F_OWNER, Linux 5.12): no `nft flush ruleset` of a firewall takes it away, and it goes
// with our process, however that ends. No module of tc is needed.
class IngressDrop {
public:
    static Result<IngressDrop> create();

    // True while the kernel has the chain, and it is before this interface.
    bool covers(const std::string& interface, unsigned index);
    // Makes the chain, or makes it anew.
    Result<void> cover(const std::string& interface, unsigned index);
    void uncover(const std::string& interface, unsigned index);

private:
    enum class Change : uint8_t { add, remove };

    IngressDrop(MnlSocket socket, std::string table) noexcept
        : socket_{std::move(socket)}, table_{std::move(table)} {}
    int change_chain(Change change, const std::string& interface, unsigned index);

    MnlSocket socket_;  // owns the table
    std::string table_;
};

}  // namespace meshgate::control
