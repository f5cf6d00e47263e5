// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace meshgate::lab {

// An Ethernet frame without FCS; at most one VLAN tag is looked through.
using Frame = std::vector<uint8_t>;

// Where the parts of a UDP frame begin.
struct UdpPlace {
    size_t ip = 0, udp = 0, payload = 0;
    size_t end = 0;  // of the IP packet; padding may follow
    bool is_v6 = false;
};
// Empty for fragments, other protocols, and what is cut short.
std::optional<UdpPlace> find_udp(const Frame& frame);

// Bytes of the IP packet as its header says; 0 when the frame is not IP.
size_t ip_len(const Frame& frame);

// Flips one bit of the UDP payload, chosen by `random`.
void flip_bit(Frame& frame, const UdpPlace& place, uint64_t random);
// Cuts the UDP payload to a shorter length, chosen by `random`; the length fields follow.
void truncate(Frame& frame, const UdpPlace& place, uint64_t random);
// Sets the ECN field to congestion experienced.
void mark_ce(Frame& frame, const UdpPlace& place);
// Makes the UDP checksum right again.
void repair_checksum(Frame& frame, const UdpPlace& place);

}  // namespace meshgate::lab
