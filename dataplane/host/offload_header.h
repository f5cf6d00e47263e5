// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace meshgate {

// In front of each packet of a kernel interface that was made with IFF_VNET_HDR: virtio's network
// header (VIRTIO 1.1, section 5.1.6) in its first form, in the machine's own byte order.
struct OffloadHeader {
    static constexpr uint8_t kNeedsChecksum = 1;  // flags
    static constexpr uint8_t kWhole = 0;          // kinds
    static constexpr uint8_t kTcpV4 = 1;
    static constexpr uint8_t kTcpV6 = 4;
    static constexpr uint8_t kEcn = 0x80;  // beside a kind

    uint8_t flags = 0;
    uint8_t kind = kWhole;
    uint16_t header_len = 0;
    uint16_t segment_len = 0;
    uint16_t checksum_start = 0;   // from where on to sum up
    uint16_t checksum_offset = 0;  // from there to the field
};
static_assert(sizeof(OffloadHeader) == 10);

}  // namespace meshgate
