// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"
#include "base/keys.h"
#include "control/wireguard/device.h"
#include "control/wireguard/messages.h"
#include "control/wireguard/primitives.h"

namespace meshgate::wireguard {

// COOKIE_SECRET_MAX_AGE: then a new secret (W20).
constexpr uint64_t kCookieSecretMaxAge = 120 * kNsPerSecond;
constexpr uint64_t kCookieMaxAge = 115 * kNsPerSecond;  // 5 s less, for its way to us and back

// The responder's side: verifies macs and makes cookies (W18, W20, W21). Cookies prove that a
// sender receives at its source address, and cost us no memory.
class CookieChecker {
public:
    enum class Verdict : uint8_t { bad_mac1, bad_mac2, valid };
    enum class Mac2 : uint8_t { ignored, needed };

    explicit CookieChecker(const FillRandom& fill_random) : fill_random_{fill_random} {}

    void set_public_key(const PublicKey& own) noexcept;
    // `message` ends in mac1 and mac2.
    Verdict check(std::span<const uint8_t> message, const Endpoint& source, Mac2 mac2,
                  uint64_t now_ns);
    // `receiver_index`: the sender index of `message`.
    CookieReplyMessage reply(std::span<const uint8_t> message, const Endpoint& source,
                             uint32_t receiver_index, uint64_t now_ns);

private:
    Cookie cookie_for(const Endpoint& source, uint64_t now_ns);

    const FillRandom& fill_random_;
    Hash mac1_key_{};  // both derive from our public key: not secret
    Hash cookie_key_{};
    SecretKey secret_;
    std::optional<uint64_t> secret_created_ns_;
};

// The sender's side, one per peer: writes macs and keeps the cookie that the peer gave us.
class CookieJar {
public:
    explicit CookieJar(const PublicKey& peer) noexcept;

    // Fills the last 32 bytes of `message` and remembers its mac1.
    void stamp(std::span<uint8_t> message, uint64_t now_ns) noexcept;
    // True when the reply answers the last message stamped, for the first time (W21).
    bool consume(const CookieReplyMessage& reply, uint64_t now_ns) noexcept;
    void clear() noexcept;

private:
    Hash mac1_key_{};
    Hash cookie_key_{};
    Mac last_mac1_{};
    bool awaits_reply_ = false;
    Cookie cookie_{};
    std::optional<uint64_t> cookie_received_ns_;
};

}  // namespace meshgate::wireguard
