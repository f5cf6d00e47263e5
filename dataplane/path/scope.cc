// SPDX-License-Identifier: Apache-2.0
#include "dataplane/path/scope.h"

#include <cstring>

namespace meshgate {

namespace {

constexpr IpAddress kLimitedBroadcast{Family::ipv4, {255, 255, 255, 255}};

// ::/96 and ::ffff:0:0/96, which belong into programs and not on wires.
bool embeds_v4(const IpAddress& address) noexcept {
    constexpr std::array<uint8_t, 12> kCompatible{};
    constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(address.bytes.data(), kCompatible.data(), kCompatible.size()) == 0 ||
           std::memcmp(address.bytes.data(), kMapped.data(), kMapped.size()) == 0;
}

}  // namespace

Verdict check_destination_scope(const IpAddress& destination) noexcept {
    if (destination.is_link_local())
        return Drop::link_local;
    if (destination.is_multicast())
        return Drop::multicast;
    if (destination == kLimitedBroadcast)
        return Drop::broadcast;
    const bool this_network = destination.is_v4() && destination.bytes[0] == 0;
    if (destination.is_loopback() || destination.is_unspecified() || this_network)
        return Drop::martian_destination;
    const bool reserved =
        destination.is_v4() ? (destination.bytes[0] & 0xf0) == 0xf0 : embeds_v4(destination);
    return reserved ? Drop::reserved : kSound;
}

Verdict check_source_scope(const IpAddress& source) noexcept {
    const Verdict verdict = check_destination_scope(source);
    // A group or everybody sends nothing.
    const bool martian = verdict == Drop::multicast || verdict == Drop::broadcast ||
                         verdict == Drop::martian_destination;
    return martian ? Drop::martian_source : verdict;
}

}  // namespace meshgate
