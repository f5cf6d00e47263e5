// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/host/offload_header.h"

namespace meshgate {

// A packet as the kernel hands it to a NIC that makes checksums and cuts TCP streams into segments:
// here we are that NIC. Refers to the bytes it was parsed from.
class SuperPacket {
public:
    // `l3_offset`: where the IP header begins, 14 or 0. Empty when header and bytes contradict each
    // other.
    static std::optional<SuperPacket> parse(const OffloadHeader& header,
                                            std::span<const uint8_t> bytes, uint16_t l3_offset);

    unsigned nb_pieces() const noexcept { return nb_pieces_; }
    // Headers included.
    uint16_t piece_len(unsigned piece) const noexcept;
    // Writes piece_len(piece) bytes: a packet that is whole, checksums included.
    void write(unsigned piece, uint8_t* out) const noexcept;

private:
    explicit SuperPacket(std::span<const uint8_t> bytes) noexcept : bytes_{bytes} {}
    bool take_checksum(const OffloadHeader& header) noexcept;
    bool take_segments(const OffloadHeader& header, uint16_t l3_offset) noexcept;
    void finish_checksum(uint8_t* out) const noexcept;
    void finish_segment(unsigned piece, std::span<uint8_t> out) const noexcept;

    std::span<const uint8_t> bytes_;
    unsigned nb_pieces_ = 1;
    bool needs_checksum_ = false;
    uint16_t checksum_start_ = 0, checksum_offset_ = 0;
    // Of a TCP stream that is cut.
    bool v4_ = false;
    uint16_t l3_offset_ = 0, l4_offset_ = 0, header_len_ = 0, segment_len_ = 0;
};

}  // namespace meshgate
