// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"
#include "base/token_bucket.h"
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

    Verdict judge(PortId port, From from, const HostPacket& packet, Time now) noexcept;
    // The kernel sent this by a port on the internet: its answers are let in.
    void sent(PortId port, const HostPacket& packet, Time now) noexcept;

private:
    // Both directions of an exchange, from the host's side.
    struct Flow {
        IpAddress local, remote;
        uint16_t local_port = 0, remote_port = 0;
        uint16_t place = 0;  // 1 + the port; 0: the slot is free
        uint8_t proto = 0;
        Time expires{};

        bool same(const Flow& other) const noexcept;
    };
    static constexpr double kPerPort = 1000;      // a second, and at once: to groups, or uninvited
    static constexpr double kPerSource = 10'000;  // a second, and at once: what is no answer

    // What one address, or whoever comes to the same place after it, may send that is no answer.
    struct Source {
        uint64_t owner = 0;
        TokenBucket bucket{kPerSource, kPerSource};
    };
    static constexpr size_t kNbFlows = 32'768;
    static constexpr size_t kWays = 8;
    static constexpr size_t kNbSources = 4096;

    bool take_of(const IpAddress& source, Time now) noexcept;
    bool is_invited(PortId port, const HostPacket& packet, Time now) noexcept;
    Flow* find(const Flow& flow, Time now) noexcept;
    void enter(Flow flow, std::chrono::seconds lifetime, Time now) noexcept;
    uint64_t hash(const void* bytes, size_t len) const noexcept;

    uint64_t seed_;
    std::vector<Flow> flows_;
    Flow* victim_ = nullptr;  // where what find() did not find would be entered
    std::vector<Source> sources_;
    std::vector<TokenBucket> groups_, strangers_;  // by port; the last: the network
};

}  // namespace meshgate
