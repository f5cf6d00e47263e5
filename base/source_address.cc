// SPDX-License-Identifier: Apache-2.0
#include "base/source_address.h"

#include <algorithm>
#include <bit>

namespace meshgate {

namespace {

// RFC 4291, section 2.7, and RFC 6724, section 3.1.
constexpr unsigned kLinkLocal = 2;
constexpr unsigned kGlobal = 14;

unsigned scope_of(const IpAddress& address) {
    if (address.is_multicast())
        return address.bytes[1] & 0xf;
    return address.is_link_local() || address.is_loopback() ? kLinkLocal : kGlobal;
}

struct Policy {
    Prefix prefix;
    unsigned label;
};

// RFC 6724, section 2.1, the longest prefixes first.
unsigned label_of(const IpAddress& address) {
    static const Policy kPolicies[] = {
        {*parse_prefix("::1/128"), 0},    {*parse_prefix("::/96"), 3},
        {*parse_prefix("2001::/32"), 5},  {*parse_prefix("2002::/16"), 2},
        {*parse_prefix("3ffe::/16"), 12}, {*parse_prefix("fec0::/10"), 11},
        {*parse_prefix("fc00::/7"), 13},
    };
    constexpr unsigned kOthers = 1;
    for (const Policy& policy : kPolicies) {
        if (policy.prefix.contains(address))
            return policy.label;
    }
    return kOthers;
}

// Up to the source's own prefix (RFC 6724, section 2.2).
unsigned common_prefix_len(const SourceAddress& source, const IpAddress& destination) {
    unsigned len = 0;
    for (unsigned i = 0; i < 16 && len == i * 8; ++i) {
        const auto differing = static_cast<uint8_t>(source.address.bytes[i] ^ destination.bytes[i]);
        len += static_cast<unsigned>(std::countl_zero(differing));
    }
    return std::min<unsigned>(len, source.prefix_len);
}

// Whether `a` is to be preferred; false when they are equal.
bool is_better(const SourceAddress& a, const SourceAddress& b, const IpAddress& destination) {
    // Rule 1: the destination itself.
    if (a.address == destination || b.address == destination)
        return a.address == destination && b.address != destination;
    // Rule 2: an appropriate scope.
    const unsigned scope_a = scope_of(a.address), scope_b = scope_of(b.address);
    if (scope_a != scope_b) {
        const unsigned scope = scope_of(destination);
        return scope_a < scope_b ? scope_a >= scope : scope_b < scope;
    }
    // Rule 3: not deprecated.
    if (a.deprecated != b.deprecated)
        return b.deprecated;
    // Rule 6: a matching label.
    const unsigned label = label_of(destination);
    const bool same_a = label_of(a.address) == label, same_b = label_of(b.address) == label;
    if (same_a != same_b)
        return same_a;
    // Rule 7: temporary addresses.
    if (a.temporary != b.temporary)
        return a.temporary;
    // Rule 8: the longest common prefix.
    return common_prefix_len(a, destination) > common_prefix_len(b, destination);
}

// Keeps the better of `best` and another candidate.
void compare(std::optional<SourceAddress>& best, const SourceAddress& candidate,
             const IpAddress& destination) noexcept {
    if (candidate.address.family != destination.family)
        return;
    if (!best || (destination.is_v6() && is_better(candidate, *best, destination)))
        best = candidate;
}

}  // namespace

std::optional<IpAddress> choose_source(std::span<const SourceAddress> candidates,
                                       const IpAddress& destination) {
    std::optional<SourceAddress> best;
    for (const SourceAddress& candidate : candidates)
        compare(best, candidate, destination);
    return best ? std::optional{best->address} : std::nullopt;
}

std::optional<IpAddress> choose_source(std::span<const IpAddress> candidates,
                                       const IpAddress& destination) noexcept {
    std::optional<SourceAddress> best;
    for (const IpAddress& candidate : candidates)
        compare(best, {.address = candidate}, destination);
    return best ? std::optional{best->address} : std::nullopt;
}

}  // namespace meshgate
