// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/cookie.h"

#include <sodium.h>

#include <cstring>
#include <string_view>

namespace meshgate::wireguard {

namespace {

Hash labelled_key(std::string_view label, const PublicKey& key) noexcept {
    return hash({reinterpret_cast<const uint8_t*>(label.data()), label.size()}, key.bytes);
}
Hash mac1_key(const PublicKey& responder) noexcept {
    return labelled_key("mac1----", responder);
}
Hash cookie_key(const PublicKey& responder) noexcept {
    return labelled_key("cookie--", responder);
}

// The parts of a message that ends in two macs.
struct Macs {
    Bytes before_mac1, before_mac2, mac1, mac2;
};
Macs macs_of(Bytes message) noexcept {
    const size_t len = message.size();
    return {message.first(len - kMacsLen), message.first(len - kMacLen),
            message.subspan(len - kMacsLen, kMacLen), message.last(kMacLen)};
}

}  // namespace

void CookieChecker::set_public_key(const PublicKey& own) noexcept {
    mac1_key_ = mac1_key(own);
    cookie_key_ = cookie_key(own);
}

CookieChecker::Verdict CookieChecker::check(Bytes message, const Endpoint& source, Mac2 mac2,
                                            uint64_t now_ns) {
    const Macs macs = macs_of(message);
    if (!equal_in_constant_time(mac(mac1_key_, macs.before_mac1), macs.mac1))
        return Verdict::bad_mac1;
    if (mac2 == Mac2::ignored)
        return Verdict::valid;
    const Cookie cookie = cookie_for(source, now_ns);
    if (!equal_in_constant_time(mac(cookie, macs.before_mac2), macs.mac2))
        return Verdict::bad_mac2;
    return Verdict::valid;
}

CookieReplyMessage CookieChecker::reply(Bytes message, const Endpoint& source,
                                        uint32_t receiver_index, uint64_t now_ns) {
    CookieReplyMessage reply{};
    reply.type = to_le32(static_cast<uint32_t>(MessageType::cookie_reply));
    reply.receiver_index = to_le32(receiver_index);
    fill_random_(reply.nonce);
    const Cookie cookie = cookie_for(source, now_ns);
    xaead_seal(reply.encrypted_cookie, {cookie_key_, reply.nonce, macs_of(message).mac1}, cookie);
    return reply;
}

Cookie CookieChecker::cookie_for(const Endpoint& source, uint64_t now_ns) {
    if (!secret_created_ns_ || now_ns - *secret_created_ns_ >= kCookieSecretMaxAge) {
        fill_random_(secret_.mutable_bytes());
        secret_created_ns_ = now_ns;
    }
    const std::array<uint8_t, 2> port_be{static_cast<uint8_t>(source.port >> 8),
                                         static_cast<uint8_t>(source.port)};
    Cookie cookie;
    Blake2s{cookie.size(), secret_.bytes()}
        .update(Bytes{source.address.bytes}.first(source.address.bits() / 8))
        .update(port_be)
        .finish(cookie);
    return cookie;
}

CookieJar::CookieJar(const PublicKey& peer) noexcept
    : mac1_key_{mac1_key(peer)}, cookie_key_{cookie_key(peer)} {}

void CookieJar::stamp(std::span<uint8_t> message, uint64_t now_ns) noexcept {
    const std::span<uint8_t> mac1 = message.subspan(message.size() - kMacsLen, kMacLen);
    const std::span<uint8_t> mac2 = message.last(kMacLen);
    const Macs macs = macs_of(message);
    last_mac1_ = mac(mac1_key_, macs.before_mac1);
    awaits_reply_ = true;
    std::memcpy(mac1.data(), last_mac1_.data(), kMacLen);

    Mac value{};
    if (cookie_received_ns_ && now_ns - *cookie_received_ns_ < kCookieMaxAge)
        value = mac(cookie_, macs.before_mac2);
    std::memcpy(mac2.data(), value.data(), kMacLen);
}

bool CookieJar::consume(const CookieReplyMessage& reply, uint64_t now_ns) noexcept {
    Cookie cookie;
    if (!awaits_reply_ ||
        !xaead_open(cookie, {cookie_key_, reply.nonce, last_mac1_}, reply.encrypted_cookie))
        return false;
    awaits_reply_ = false;
    cookie_ = cookie;
    cookie_received_ns_ = now_ns;
    sodium_memzero(cookie.data(), cookie.size());
    return true;
}

void CookieJar::clear() noexcept {
    sodium_memzero(cookie_.data(), cookie_.size());
    cookie_received_ns_.reset();
    awaits_reply_ = false;
}

}  // namespace meshgate::wireguard
