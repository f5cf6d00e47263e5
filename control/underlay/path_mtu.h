// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "base/token_bucket.h"

namespace meshgate::control {

// How much a report proves: it quotes a receiver index, which only who sees our datagrams knows, or
// just addresses and ports, which can be guessed.
enum class Proof : uint8_t { receiver_index, ports };

// Path MTUs that routers reported (RFC 1191, RFC 8201), outer IP header included. Each is forgotten
// after a while, as the path may have become wider since.
class PathMtus {
public:
    // A path as routers tell them apart.
    struct Path {
        IpAddress remote;
        IpAddress local;

        auto operator<=>(const Path&) const = default;
    };

    // False: there were more reports of late than are worth a look.
    bool admit(Time now) noexcept { return reports_.take(now); }
    // What is little proved is forgotten soon: a router that means it says it again.
    void learn(const Path& path, uint16_t mtu_bytes, Proof proof, Time now);
    // The smaller of what was learned and `port_mtu_bytes`.
    uint16_t limit(const Path& path, uint16_t port_mtu_bytes) const;

    // Forgets what is too old, and returns which paths that concerns.
    std::vector<Path> expire(Time now);
    Time next_deadline() const noexcept;

private:
    struct Learned {
        uint16_t mtu_bytes;
        Time expires;
    };

    // Bounded by the rate of reports and the lifetime.
    std::map<Path, Learned> learned_;
    std::set<std::pair<Time, Path>> deadlines_;
    TokenBucket reports_{100, 100};
};

}  // namespace meshgate::control
