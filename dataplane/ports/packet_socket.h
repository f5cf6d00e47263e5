// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace meshgate {

// Open file descriptors of this process, ascending. The difference across the start of a port is
// what its driver opened.
std::vector<int> open_fds();
// Those of `fds` that are sockets of the given family (AF_PACKET, AF_XDP), ascending.
std::vector<int> sockets_of_family(std::span<const int> fds, int family);

// The sizes that device.cc gives to net_af_packet.
constexpr unsigned kPacketFrameBytes = 2048;
constexpr unsigned kPacketFrames = 4096;
constexpr unsigned kPacketBlockBytes = 65536;

// Puts sockets of our own in the place of those that net_af_packet made: same descriptors, same
// mapped memory. The driver's sockets are always members of a fanout group with
// PACKET_FANOUT_FLAG_DEFRAG: the kernel puts fragmented IPv4 together before we see it, the whole
// does not fit a ring frame and arrives cut, so that no fragmented packet would ever get through.
// Ours do not do that, nor do they receive what our own kernel sends on the interface.
// Before the port is started; `fds` in the order of its queues.
// Whether frames go straight to the interface, or through its queue discipline.
enum class Transmit : uint8_t { direct, queued };
Result<void> replace_packet_sockets(std::span<const int> fds, unsigned interface_index,
                                    Transmit transmit);

}  // namespace meshgate
