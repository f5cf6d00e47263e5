// SPDX-License-Identifier: Apache-2.0
#pragma once

// Looks up the routes of sixteen packets at once, where has_avx512(). The file that implements it
// is compiled for more than the project's floor; so this header holds plain data alone (see
// crypto/lanes.h).

#include <stdint.h>

namespace meshgate {

// The IPv4 trie of fib.cc: its words, and by how many bits to the right an address becomes a
// position in its first table.
struct TrieWords {
    const uint32_t* words;
    uint32_t direct_shift;
};
// Looks up `nb` addresses as they stand in a packet.
void look_up_v4_avx512(uint32_t* values, const TrieWords* trie, const uint32_t* destinations_be,
                       uint64_t nb) noexcept;

}  // namespace meshgate
