// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace meshgate {

// Numbers of the wire that workers and control both go by.

constexpr uint16_t kBabelPort = 6696;  // UDP (RFC 8966, section 5)
// UDP port of mesh control messages, which go from node address to node address inside a session.
constexpr uint16_t kMeshPort = 6698;

// Lengths of WireGuard's handshake messages (paper, section 5.4).
constexpr uint16_t kInitiationLen = 148;
constexpr uint16_t kResponseLen = 92;
constexpr uint16_t kCookieReplyLen = 64;

}  // namespace meshgate
