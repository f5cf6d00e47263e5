// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace meshgate {

// Open file descriptors of this process, ascending. The difference across the start of a port is
// what its driver opened.
std::vector<int> open_fds();
// Those of `fds` that are sockets of the given family (AF_PACKET, AF_XDP), ascending.
std::vector<int> sockets_of_family(std::span<const int> fds, int family);

// The rings of net_af_packet: its default of 512 frames loses packets whenever the worker is
// scheduled away. A block must hold a whole number of frames.
constexpr unsigned kPacketFrameBytes = 2048;
constexpr unsigned kPacketFrames = 4096;
constexpr unsigned kPacketBlockBytes = 65536;
static_assert(kPacketBlockBytes % kPacketFrameBytes == 0);
static_assert(kPacketFrames * kPacketFrameBytes % kPacketBlockBytes == 0);
// Those sizes as the driver takes them: ",framesz=2048,framecnt=4096,blocksz=65536".
std::string packet_ring_arguments();

// Whether frames go straight to the interface, or through its queue discipline.
enum class Transmit : uint8_t { direct, queued };

// Puts sockets of our own in the place of those that net_af_packet made: same descriptors, same
// mapped memory. The driver's sockets are always members of a fanout group with
// PACKET_FANOUT_FLAG_DEFRAG: the kernel puts fragmented IPv4 together before we see it, the whole
// does not fit a ring frame and arrives cut, so that no fragmented packet would ever get through.
// Ours do not do that, nor do they receive what our own kernel sends on the interface.
// Before the port is started; `fds` in the order of its queues. Relies on how DPDK 22.11 lays its
// rings out (rte_eth_af_packet.c: one mapping per socket, receive ring before transmit ring), and
// fails where a mapping has another size than that gives.
Result<void> replace_packet_sockets(std::span<const int> fds, unsigned interface_index,
                                    Transmit transmit);
// False when the interface that the socket was bound to has left this network namespace, or the
// world: what it is bound to never comes back.
bool is_bound_to(int packet_socket, unsigned interface_index) noexcept;
bool is_xdp_socket_bound(int xdp_socket) noexcept;

}  // namespace meshgate
