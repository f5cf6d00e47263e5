// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>

#include "base/address.h"

namespace meshgate {

struct SourceAddress {
    IpAddress address;
    uint8_t prefix_len = 128;  // of its network, which is what rule 8 compares
    bool deprecated = false;
    bool temporary = false;
};

// The source for packets to `destination`, of its family (RFC 6724, section 5, without the rules of
// mobile nodes; all `candidates` are of the port by which they leave). The first of equals, so that
// IPv4 gets the first. Empty: no candidate has the family.
std::optional<IpAddress> choose_source(std::span<const SourceAddress> candidates,
                                       const IpAddress& destination);
// The same of addresses of which no more is known. For workers too: takes no memory.
std::optional<IpAddress> choose_source(std::span<const IpAddress> candidates,
                                       const IpAddress& destination) noexcept;

}  // namespace meshgate
