// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace meshgate {

// The one's complement sum of 16-bit words (RFC 1071) is the ordinary sum modulo 0xffff, whatever
// multiple of 16 bits was added up at a time. So no carries are folded: the remainder by a constant
// costs one multiplication.
constexpr uint64_t kSumModulus = 0xffff;

// The sum of the bytes as words, an odd last byte filled up with zero; not reduced.
uint64_t internet_sum(std::span<const uint8_t> bytes) noexcept;

// The same with what every processor has, for processors without AVX-512.
uint64_t internet_sum_sse2(std::span<const uint8_t> bytes) noexcept;

// The checksum of a TCP segment or UDP datagram whose own field is zero, as it stands on the wire.
// `addresses` are source and destination as they stand in the IP header.
uint16_t l4_checksum(std::span<const uint8_t> addresses, uint8_t proto,
                     std::span<const uint8_t> l4) noexcept;

}  // namespace meshgate
