// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the cross-packet engine asks of a processor: ChaCha20 on many blocks, Poly1305 on many
// messages, each in a lane of its own (RFC 8439, 2.3 and 2.5). A file that implements it is
// compiled for more than the project's floor; so this header holds plain data alone: an inline
// function compiled there could be the copy that the linker gives to everybody.

#include <stdint.h>

namespace meshgate {

constexpr unsigned kMaxChachaLanes = 16;  // ChaCha20 blocks computed side by side
constexpr unsigned kMaxPolyLanes = 16;    // Poly1305 sums, likewise
constexpr uint32_t kChachaBlockLen = 64;

// One block of a keystream, XORed onto the `len` bytes at `data`.
struct alignas(16) ChachaLane {
    const uint8_t* key;  // 32 bytes
    uint8_t* data;
    // Words 12 to 15 of the state, 13 being 0. Written and read as 16 bytes at once.
    alignas(16) uint32_t counter;
    uint32_t zero;
    uint64_t nonce;
    uint64_t len;  // 0..64
};

// Four blocks one after the other, whole: the same with a quarter of the lanes to describe.
struct alignas(16) ChachaQuad {
    const uint8_t* key;
    uint8_t* data;
    alignas(16) uint32_t counter;  // of the first
    uint32_t zero;
    uint64_t nonce;
};

// What one pass does, and where a kernel keeps what it needs twice. Secret once it has run.
struct alignas(64) ChachaPass {
    enum Kind { blocks, quads, keystream };
    Kind kind;
    ChachaLane lanes[kMaxChachaLanes];  // blocks, keystream; all readable, unused ones with len 0
    ChachaQuad quad[kMaxChachaLanes / 4];      // quads
    uint8_t (*keystream_to)[kChachaBlockLen];  // keystream: a row for each lane; `data` is not used
    alignas(64) uint32_t initial_state[12][kMaxChachaLanes];  // words 4 to 15
};

// One message, padded with zeros to a multiple of 16 bytes and followed by its AEAD length block,
// there being no associated data.
struct PolyLane {
    const uint8_t* data;
    const uint8_t* one_time_key;  // 32 bytes: r (clamped by the kernel) and s
    uint64_t len;
};

// The messages of one group. Secret once it has run.
struct alignas(64) PolyGroup {
    PolyLane lanes[kMaxPolyLanes];  // all readable: unused ones repeat another
    unsigned nb_lanes;              // how many are wanted
    alignas(64) uint64_t tag_low[kMaxPolyLanes];
    alignas(64) uint64_t tag_high[kMaxPolyLanes];
};

// Kernels run in time that depends on lengths alone. What they leave in vector registers
// wipe_registers() clears; their stack is for the caller to clear.
struct LaneKernels {
    const char* name;  // "cross-packet/avx512"
    unsigned chacha_lanes;
    unsigned poly_lanes;
    void (*chacha)(ChachaPass& pass) noexcept;
    // Best where lanes next to each other have like lengths.
    void (*poly)(PolyGroup& group) noexcept;
    void (*wipe_registers)() noexcept;
};

// For processors with AVX-512 F, BW, VL, DQ, IFMA and VBMI2, and BMI2.
void chacha_avx512(ChachaPass& pass) noexcept;
void poly_avx512(PolyGroup& group) noexcept;
void wipe_avx512_registers() noexcept;

// For processors with AVX2.
void chacha_avx2(ChachaPass& pass) noexcept;
void poly_avx2(PolyGroup& group) noexcept;
void wipe_avx2_registers() noexcept;

}  // namespace meshgate
