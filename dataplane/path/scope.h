// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "base/address.h"
#include "dataplane/packet/verdict.h"

// Addresses that mean something on one link, or nowhere: no packet from or to them is carried on
// (RFC 1812, 4.2.2.11, 5.3.5.1 and 5.3.7; RFC 3927, 7; RFC 4291, 2.5.6). Site-local ones are like
// others (RFC 4291, 2.5.7).

namespace meshgate {

// They begin with few octets, so that one look-up says of nearly every address that it is none.
constexpr uint8_t kMaybeSpecialV4 = 1;
constexpr uint8_t kMaybeSpecialV6 = 2;
inline constexpr std::array<uint8_t, 256> kFirstOctets = [] {
    std::array<uint8_t, 256> octets{};
    for (const unsigned first : {0, 127, 169})
        octets[first] |= kMaybeSpecialV4;
    for (unsigned first = 224; first < 256; ++first)
        octets[first] |= kMaybeSpecialV4;
    for (const unsigned first : {0, 0xfe, 0xff})
        octets[first] |= kMaybeSpecialV6;
    return octets;
}();

// Whether a packet from there, or to there, may leave its link.
Verdict check_source_scope(const IpAddress& source) noexcept;
Verdict check_destination_scope(const IpAddress& destination) noexcept;

}  // namespace meshgate
