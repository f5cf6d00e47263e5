// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/protocol_numbers.h"

namespace meshgate::wireguard {

// Handshake messages as on the wire (WireGuard paper, section 5.4). Integers are little-endian
// and kept as bytes, so that a message may lie anywhere in memory.
using Le32 = std::array<uint8_t, 4>;

constexpr Le32 to_le32(uint32_t value) noexcept {
    return {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8),
            static_cast<uint8_t>(value >> 16), static_cast<uint8_t>(value >> 24)};
}
constexpr uint32_t from_le32(const Le32& bytes) noexcept {
    return uint32_t{bytes[0]} | uint32_t{bytes[1]} << 8 | uint32_t{bytes[2]} << 16 |
           uint32_t{bytes[3]} << 24;
}

// The three reserved bytes belong to the word: they must be zero (W01).
enum class MessageType : uint32_t { initiation = 1, response = 2, cookie_reply = 3 };

constexpr size_t kTagLen = 16;
constexpr size_t kMacLen = 16;
constexpr size_t kPublicKeyLen = 32;
constexpr size_t kTimestampLen = 12;
constexpr size_t kCookieLen = 16;
constexpr size_t kXNonceLen = 24;

using Mac = std::array<uint8_t, kMacLen>;
using Cookie = std::array<uint8_t, kCookieLen>;

struct InitiationMessage {
    Le32 type;
    Le32 sender_index;
    std::array<uint8_t, kPublicKeyLen> ephemeral;
    std::array<uint8_t, kPublicKeyLen + kTagLen> encrypted_static;
    std::array<uint8_t, kTimestampLen + kTagLen> encrypted_timestamp;
    Mac mac1;
    Mac mac2;
};
static_assert(sizeof(InitiationMessage) == kInitiationLen && alignof(InitiationMessage) == 1);

struct ResponseMessage {
    Le32 type;
    Le32 sender_index;
    Le32 receiver_index;
    std::array<uint8_t, kPublicKeyLen> ephemeral;
    std::array<uint8_t, kTagLen> encrypted_nothing;
    Mac mac1;
    Mac mac2;
};
static_assert(sizeof(ResponseMessage) == kResponseLen && alignof(ResponseMessage) == 1);

struct CookieReplyMessage {
    Le32 type;
    Le32 receiver_index;
    std::array<uint8_t, kXNonceLen> nonce;
    std::array<uint8_t, kCookieLen + kTagLen> encrypted_cookie;
};
static_assert(sizeof(CookieReplyMessage) == kCookieReplyLen && alignof(CookieReplyMessage) == 1);

// Initiation and response end alike: mac1 over what is before it, mac2 over that and mac1.
constexpr size_t kMacsLen = 2 * kMacLen;

template <typename M>
std::span<uint8_t> bytes_of(M& message) noexcept {
    return {reinterpret_cast<uint8_t*>(&message), sizeof(M)};
}
template <typename M>
std::span<const uint8_t> bytes_of(const M& message) noexcept {
    return {reinterpret_cast<const uint8_t*>(&message), sizeof(M)};
}

// `datagram` is exactly as long as M.
template <typename M>
M message_from(std::span<const uint8_t> datagram) noexcept {
    M message;
    std::memcpy(&message, datagram.data(), sizeof(M));
    return message;
}

}  // namespace meshgate::wireguard
