// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace meshgate::packet_test {

using Bytes = std::vector<uint8_t>;

// One line of a case after its colon: words ("ip4", "udp", "df") and settings ("src=10.1.0.9").
struct Fields {
    std::map<std::string, std::string> values;  // a bare word maps to ""

    static Fields parse(std::string_view text);
    bool has(const std::string& name) const { return values.contains(name); }
    std::string text(const std::string& name, const std::string& otherwise = "") const;
    // Decimal or 0x hexadecimal.
    uint64_t number(const std::string& name, uint64_t otherwise = 0) const;
};

// Builds the IP packet that the fields describe, all checksums right unless they say otherwise.
//   ip4|ip6 src= dst= ttl= tos= id= df mf off= options=N(bytes of NOPs)
//   udp sport= dport= | tcp sport= dport= flags=syn|ack mss= mss_odd | icmp type= code= rest= quotes=
//   len=N (payload bytes 0, 1, 2, ...), hex=... (payload as it is)
//   partial (L4 checksum is what virtual ports deliver: the pseudo-header's sum)
//   set=OFFSET:HEX (overwrites bytes at the end of all), cut=N (total length), tail=N (bytes
//   behind)
Bytes build_packet(const Fields& fields);

// Names and values of what stands in an IP packet, same names as above; "unsummed": UDP without a
// checksum; "wrong" lists bad checksums
// and lengths, and payload bytes that are not 0, 1, 2, ...
std::map<std::string, std::string> describe_packet(std::span<const uint8_t> packet);

// The packet cut at these offsets of its payload, which are multiples of 8: all pieces, in order.
// Each but the first begins `overlap` bytes early.
std::vector<Bytes> cut_packet(const Bytes& packet, const std::vector<size_t>& offsets, uint32_t id,
                              size_t overlap);

Bytes from_hex(std::string_view text);
std::string to_hex(std::span<const uint8_t> bytes);
// RFC 1071, with a starting sum.
uint16_t internet_checksum(std::span<const uint8_t> bytes, uint32_t sum = 0);

}  // namespace meshgate::packet_test
