// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/api/drop.h"
#include "dataplane/host/host_packet.h"
#include "dataplane/packet/verdict.h"
#include "dataplane/tables/ids.h"

namespace meshgate {

// Who may reach the machine's own kernel. From the internet: answers to what it sent, ICMP errors
// about that, and what a host needs to have an address there (ARP, neighbour discovery, router
// advertisements, DHCP). From the site and the network: everything. What is no answer is limited
// per source, what goes to groups per port. One thread.
class Guard {
public:
    enum class From : uint8_t { internet, site };

    // `seed`: that nobody outside may know.
    explicit Guard(uint64_t seed);

    Verdict judge(PortId port, From from, const HostPacket& packet, uint64_t now_ms) noexcept;
    // The kernel sent this by a port on the internet: its answers are let in.
    void sent(PortId port, const HostPacket& packet, uint64_t now_ms) noexcept;

private:
    // Both directions of an exchange, from the host's side.
    struct Flow {
        IpAddress local, remote;
        uint16_t local_port = 0, remote_port = 0;
        uint16_t place = 0;  // 1 + the port; 0: the slot is free
        uint8_t proto = 0;
        uint64_t expires_ms = 0;

        bool same(const Flow& other) const noexcept;
    };
    // `rate` a second, `burst` at once.
    struct Bucket {
        uint64_t owner = 0;
        uint64_t refilled_ms = 0;
        uint32_t tokens = 0;
    };
    struct Rate {
        uint32_t per_second, burst;
    };
    static constexpr size_t kNbFlows = 32'768;
    static constexpr size_t kWays = 8;
    static constexpr size_t kNbSources = 4096;

    static bool take(Bucket& bucket, uint64_t owner, Rate rate, uint64_t now_ms) noexcept;
    bool is_invited(PortId port, const HostPacket& packet, uint64_t now_ms) noexcept;
    Flow* find(const Flow& flow, uint64_t now_ms) noexcept;
    void enter(Flow flow, uint64_t lifetime_ms, uint64_t now_ms) noexcept;
    uint64_t hash(const void* bytes, size_t len) const noexcept;

    uint64_t seed_;
    std::vector<Flow> flows_;
    Flow* victim_ = nullptr;  // where what find() did not find would be entered
    std::vector<Bucket> sources_;
    std::array<Bucket, kMaxPorts + 1> groups_{};  // the last: the network
    std::array<Bucket, kMaxPorts + 1> strangers_{};
};

}  // namespace meshgate
