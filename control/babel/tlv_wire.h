// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace meshgate::babel {

// What reading and writing packets have in common (RFC 8966 section 4).
constexpr uint8_t kMagic = 42;
constexpr uint8_t kVersion = 2;
constexpr uint8_t kFlagDefaultPrefix = 0x80;
constexpr uint8_t kFlagRouterId = 0x40;
constexpr uint16_t kFlagUnicast = 0x8000;
constexpr uint8_t kTimestampSubTlv = 3;
constexpr uint8_t kFirstMandatorySubTlv = 128;
constexpr size_t kMaxIndexLen = 32;   // RFC 8967, 4.2: longest index taken
constexpr size_t kMaxNonceLen = 192;  // RFC 8967, 4.3: longest nonce taken

}  // namespace meshgate::babel
