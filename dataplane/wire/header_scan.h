// SPDX-License-Identifier: Apache-2.0
#pragma once

// Looks at the headers of sixteen packets at once, where has_avx512(). The file that implements it
// is compiled for more than the project's floor; so this header holds plain data alone (see
// crypto/lanes.h).

#include <stdint.h>

namespace meshgate {

constexpr unsigned kHeaderLanes = 16;
constexpr unsigned kHeaderBytes = 48;     // readable from each IP header on
constexpr unsigned kMaxOwnAddresses = 8;  // compared at once; a port with more is read one by one
constexpr unsigned kMaxListenPorts = 4;   // likewise

// Frames whose Ethernet header says that IPv4 follows.
struct alignas(64) HeaderGroup {
    const uint8_t* l3[kHeaderLanes];   // the IP header; unused: kNoHeader
    uint32_t available[kHeaderLanes];  // bytes of the frame from there on
};
extern const uint8_t kNoHeader[kHeaderBytes];

// What a port's packets are held against. As on the wire.
struct HeaderRules {
    uint32_t own_addresses_be[kMaxOwnAddresses];
    uint32_t nb_own_addresses;
    uint16_t listen_ports_be[kMaxListenPorts];
    uint32_t nb_listen_ports;
};

// A bit for each lane. Plain is what needs no second look: all that the scalar checks ask of it is
// so, it has no IP options, and its length is that of its IP header (overlay) or UDP header.
struct HeaderVerdict {
    uint32_t plain;
    uint32_t partial;  // of the plain ones on a LAN: the checksum is the pseudo-header's alone
};
HeaderVerdict judge_overlay_avx512(const HeaderGroup* group, const HeaderRules* rules) noexcept;
// Plain: transport data for a listen port of ours.
HeaderVerdict judge_underlay_avx512(const HeaderGroup* group, const HeaderRules* rules) noexcept;

}  // namespace meshgate
