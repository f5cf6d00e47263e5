// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/cookie.h"

#include <gtest/gtest.h>

#include <cstring>

#include "control/wireguard/rate_limit.h"
#include "tests/unit/control/wireguard/fixture.h"

namespace meshgate::wireguard {
namespace {

constexpr size_t kLoaded = 512;

SendMessage initiation(Bench& bench, Now now) {
    bench.a.device.on_no_session(Bench::kPeer, now);
    return *bench.a.take_message();
}

// ---- the parts ----

// A message that ends in macs, from a sender that knows the responder.
struct Pair {
    Pair() : random{seeded_random(5)}, checker{random}, jar{responder} {
        checker.set_public_key(responder);
        for (size_t n = 0; n < message.size(); ++n)
            message[n] = static_cast<uint8_t>(n);
    }

    void stamp(uint64_t now_ns) { jar.stamp(message, now_ns); }
    bool exchange_cookie(uint64_t now_ns) {
        return jar.consume(checker.reply(message, source, 9, now_ns), now_ns);
    }
    CookieChecker::Verdict check(uint64_t now_ns) {
        return checker.check(message, source, CookieChecker::Mac2::needed, now_ns);
    }
    bool mac2_is_zero() const {
        return std::all_of(message.end() - kMacLen, message.end(),
                           [](uint8_t byte) { return byte == 0; });
    }

    FillRandom random;
    PublicKey responder = public_key_of(secret(2));
    CookieChecker checker;
    CookieJar jar;
    std::array<uint8_t, 148> message{};
    Endpoint source = endpoint_of(1);
};

TEST(Cookie, W18_WrongMac1IsDroppedInSilence) {
    Bench bench;
    const SendMessage good = initiation(bench, at(1));
    for (size_t bit = 32; bit < 8 * (148 - 16); ++bit) {
        SendMessage bad = good;
        bad.message.bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
        bench.give(bench.b, bad, at(1), bit % 2 == 0 ? 0 : kLoaded);
    }
    EXPECT_EQ(bench.b.count(HandshakeEvent::bad_mac1), 8U * (148 - 16) - 32);
    EXPECT_FALSE(bench.b.take_message());
    EXPECT_TRUE(bench.b.actions.empty());
    bench.give(bench.b, good, at(2 * kNsPerSecond));
    EXPECT_TRUE(bench.b.take_message());
}

TEST(Cookie, W18_Mac1IsKeyedByTheResponder) {
    Bench bench;
    SendMessage message = initiation(bench, at(1));
    CookieJar{bench.a.device.public_key()}.stamp({message.message.bytes.data(), 148}, 1);
    bench.give(bench.b, message, at(1));
    EXPECT_EQ(bench.b.count(HandshakeEvent::bad_mac1), 1U);
}

TEST(Cookie, W19_Mac2NeedsACookieYoungerThan115Seconds) {
    Pair pair;
    pair.stamp(kMinute);
    EXPECT_TRUE(pair.mac2_is_zero());
    EXPECT_EQ(pair.check(kMinute), CookieChecker::Verdict::bad_mac2);
    ASSERT_TRUE(pair.exchange_cookie(kMinute));
    for (const uint64_t age_s : {0U, 1U, 60U, 114U}) {
        pair.stamp(kMinute + age_s * kNsPerSecond);
        EXPECT_FALSE(pair.mac2_is_zero()) << age_s;
        EXPECT_EQ(pair.check(kMinute + age_s * kNsPerSecond), CookieChecker::Verdict::valid);
    }
    for (const uint64_t age_s : {115U, 116U, 120U, 1000U}) {
        pair.stamp(kMinute + age_s * kNsPerSecond);
        EXPECT_TRUE(pair.mac2_is_zero()) << age_s;
    }
}

TEST(Cookie, W19_Mac2CoversTheWholeMessage) {
    Pair pair;
    pair.stamp(kMinute);
    ASSERT_TRUE(pair.exchange_cookie(kMinute));
    pair.stamp(kMinute);
    ASSERT_EQ(pair.check(kMinute), CookieChecker::Verdict::valid);
    for (size_t bit = 0; bit < pair.message.size() * 8; ++bit) {
        pair.message[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
        EXPECT_NE(pair.check(kMinute), CookieChecker::Verdict::valid) << bit;
        pair.message[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
}

TEST(Cookie, W20_BelongsToAddressAndPort) {
    Pair pair;
    pair.stamp(kMinute);
    ASSERT_TRUE(pair.exchange_cookie(kMinute));
    pair.stamp(kMinute);
    const Endpoint genuine = pair.source;
    ASSERT_EQ(pair.check(kMinute), CookieChecker::Verdict::valid);
    pair.source.port = static_cast<uint16_t>(genuine.port + 1);
    EXPECT_EQ(pair.check(kMinute), CookieChecker::Verdict::bad_mac2);
    pair.source = genuine;
    pair.source.address.bytes[3] ^= 1;
    EXPECT_EQ(pair.check(kMinute), CookieChecker::Verdict::bad_mac2);

    pair.source = *parse_endpoint("[2001:db8::1]:51820");
    ASSERT_TRUE(pair.exchange_cookie(kMinute) ||
                (pair.stamp(kMinute), pair.exchange_cookie(kMinute)));
    pair.stamp(kMinute);
    ASSERT_EQ(pair.check(kMinute), CookieChecker::Verdict::valid);
    pair.source.address.bytes[15] ^= 2;
    EXPECT_EQ(pair.check(kMinute), CookieChecker::Verdict::bad_mac2);
}

TEST(Cookie, W20_SecretRotatesEvery120Seconds) {
    Pair pair;
    pair.stamp(kMinute);
    ASSERT_TRUE(pair.exchange_cookie(kMinute));
    pair.stamp(kMinute);
    EXPECT_EQ(pair.check(kMinute + 120 * kNsPerSecond - 1), CookieChecker::Verdict::valid);
    EXPECT_EQ(pair.check(kMinute + 120 * kNsPerSecond), CookieChecker::Verdict::bad_mac2);
    EXPECT_EQ(pair.check(kMinute + 120 * kNsPerSecond), CookieChecker::Verdict::bad_mac2);
}

TEST(Cookie, W21_ReplyIsForTheLastMac1AndOnce) {
    Pair pair;
    pair.stamp(1);
    const CookieReplyMessage first = pair.checker.reply(pair.message, pair.source, 9, 1);
    pair.message[20] ^= 1;
    pair.stamp(2);
    EXPECT_FALSE(pair.jar.consume(first, 2));  // answers a message before the last
    const CookieReplyMessage second = pair.checker.reply(pair.message, pair.source, 9, 2);
    for (size_t bit = 64; bit < sizeof(second) * 8; ++bit) {
        CookieReplyMessage bad = second;
        bytes_of(bad)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
        EXPECT_FALSE(pair.jar.consume(bad, 2)) << bit;
    }
    EXPECT_TRUE(pair.jar.consume(second, 2));
    EXPECT_FALSE(pair.jar.consume(second, 3));
}

TEST(Cookie, W21_RepliesNeverRepeatANonce) {
    Pair pair;
    pair.stamp(1);
    const CookieReplyMessage one = pair.checker.reply(pair.message, pair.source, 9, 1);
    const CookieReplyMessage two = pair.checker.reply(pair.message, pair.source, 9, 1);
    EXPECT_NE(one.nonce, two.nonce);
}

// ---- the device under load ----

TEST(Cookie, W21_ReplyNeedsALiveIndex) {
    Bench bench;
    bench.give(bench.b, initiation(bench, at(1)), at(1), kLoaded);
    const SendMessage reply = *bench.b.take_message();
    SendMessage astray = reply;
    astray.message.bytes[4] ^= 0x20;
    bench.give(bench.a, astray, at(1));
    EXPECT_EQ(bench.a.count(HandshakeEvent::stale_cookie_reply), 1U);
    bench.give(bench.a, reply, at(1));
    bench.give(bench.a, reply, at(1));
    EXPECT_EQ(bench.a.count(HandshakeEvent::cookie_reply_received), 1U);
    EXPECT_EQ(bench.a.count(HandshakeEvent::stale_cookie_reply), 2U);
}

TEST(UnderLoad, W22_StartsAt512QueuedAndLastsASecond) {
    Bench bench;
    const auto probe = [&](size_t nb_queued, uint64_t now_ns) {
        SendMessage message = initiation(bench, at(now_ns));
        const uint64_t before = bench.b.count(HandshakeEvent::cookie_reply_sent);
        bench.give(bench.b, message, at(now_ns), nb_queued);
        bench.b.messages.clear();
        bench.a.device.clear_sessions(at(now_ns));
        bench.a.drain();
        return bench.b.count(HandshakeEvent::cookie_reply_sent) - before;
    };
    EXPECT_EQ(probe(511, 10 * kNsPerSecond), 0U);
    EXPECT_EQ(probe(512, 20 * kNsPerSecond), 1U);
    EXPECT_TRUE(bench.b.device.under_load(at(21 * kNsPerSecond - 1)));
    EXPECT_EQ(probe(0, 21 * kNsPerSecond - 1), 1U);
    EXPECT_FALSE(bench.b.device.under_load(at(21 * kNsPerSecond)));
    EXPECT_EQ(probe(0, 21 * kNsPerSecond), 0U);
}

TEST(UnderLoad, W23_WithoutCookieOneReplyAndNothingElse) {
    Bench bench;
    Addressing elsewhere = bench.from_box(1);
    elsewhere.remote.port = 999;
    bench.give(bench.b, initiation(bench, at(1)), elsewhere, at(1), kLoaded);
    const std::optional<SendMessage> reply = bench.b.take_message();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->message.len, 64U);
    EXPECT_EQ(reply->peer, kNoPeer);
    EXPECT_EQ(reply->to, elsewhere);
    EXPECT_FALSE(bench.b.take_message());
    EXPECT_TRUE(bench.b.actions.empty());  // no keypair, no endpoint moved
    EXPECT_EQ(bench.b.peer().endpoint->remote, endpoint_of(1));
    EXPECT_EQ(bench.b.count(HandshakeEvent::initiation_received), 0U);
}

TEST(UnderLoad, W23_WithCookieTheHandshakeSucceeds) {
    Bench bench;
    bench.give(bench.b, initiation(bench, at(1)), at(1), kLoaded);
    bench.give(bench.a, *bench.b.take_message(), at(2));
    // The retransmission carries mac2.
    bench.a.device.tick(at(6 * kNsPerSecond));
    bench.give(bench.b, *bench.a.take_message(), at(6 * kNsPerSecond), kLoaded);
    const std::optional<SendMessage> response = bench.b.take_message();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->message.len, 92U);
    bench.give(bench.a, *response, at(6 * kNsPerSecond));
    EXPECT_EQ(bench.a.peer().session, SessionState::established);
}

TEST(RateLimit, W23_TwentyPerSecondAfterABurstOfFive) {
    RateLimiter limiter{seeded_random(1)};
    const IpAddress source = *parse_address("192.0.2.1");
    for (int n = 0; n < 5; ++n)
        EXPECT_TRUE(limiter.allow(source, kNsPerSecond));
    EXPECT_FALSE(limiter.allow(source, kNsPerSecond));
    EXPECT_FALSE(limiter.allow(source, kNsPerSecond + 49 * kNsPerMs));
    EXPECT_TRUE(limiter.allow(source, kNsPerSecond + 50 * kNsPerMs));
    EXPECT_FALSE(limiter.allow(source, kNsPerSecond + 50 * kNsPerMs));
    size_t nb_allowed = 0;
    for (uint64_t ms = 0; ms < 10'000; ++ms)
        nb_allowed += limiter.allow(source, 10 * kNsPerSecond + ms * kNsPerMs) ? 1 : 0;
    EXPECT_EQ(nb_allowed, 5U + 199U);
}

TEST(RateLimit, W23_OneBucketPerIpv4AddressOrIpv6Slash64) {
    RateLimiter limiter{seeded_random(1)};
    const auto exhaust = [&](const char* text) {
        while (limiter.allow(*parse_address(text), kNsPerSecond)) {
        }
    };
    const auto allowed = [&](const char* text) {
        return limiter.allow(*parse_address(text), kNsPerSecond);
    };
    exhaust("192.0.2.1");
    EXPECT_TRUE(allowed("192.0.2.2"));
    exhaust("2001:db8:0:1::1");
    EXPECT_FALSE(allowed("2001:db8:0:1:ffff::2"));
    EXPECT_TRUE(allowed("2001:db8:0:2::1"));
    EXPECT_TRUE(allowed("2001:db8:1:1::1"));
}

TEST(RateLimit, W23_IsBoundedAndForgetsTheIdle) {
    RateLimiter limiter{seeded_random(1)};
    const auto source = [](uint32_t n) { return IpAddress::v4(0x0a000000 + n); };
    for (uint32_t n = 0; n < 65'536; ++n)
        ASSERT_TRUE(limiter.allow(source(n), kNsPerSecond));
    EXPECT_FALSE(limiter.allow(source(65'536), kNsPerSecond));
    EXPECT_EQ(limiter.nb_entries(), 65'536U);
    EXPECT_EQ(limiter.next_collection_ns(), 2 * kNsPerSecond);
    EXPECT_TRUE(limiter.allow(source(3), 2 * kNsPerSecond + 1));
    limiter.collect(2 * kNsPerSecond + 1);
    EXPECT_EQ(limiter.nb_entries(), 1U);
    EXPECT_TRUE(limiter.allow(source(65'536), 2 * kNsPerSecond + 2));
    limiter.collect(4 * kNsPerSecond);
    EXPECT_EQ(limiter.nb_entries(), 0U);
    EXPECT_EQ(limiter.next_collection_ns(), kNeverNs);
}

// A stranger with a real address, hence with a cookie, sends what costs a DH each.
TEST(UnderLoad, W23_LimitsTheRateOfSendersWithCookies) {
    Bench bench;
    Addressing from = bench.from_box(1);
    CookieJar jar{bench.b.device.public_key()};
    uint64_t nb_admitted = 0;
    for (uint32_t n = 0; n < 10; ++n) {
        InitiationMessage message{};
        message.type = to_le32(1);
        message.sender_index = to_le32(n);
        jar.stamp(bytes_of(message), 1);
        bench.b.device.receive(bytes_of(message), from, kLoaded, at(1));
        if (const auto reply = bench.b.take_message())
            jar.consume(message_from<CookieReplyMessage>(reply->message.view()), 1);
    }
    nb_admitted = bench.b.count(HandshakeEvent::bad_tag);  // the ephemeral key is all zero
    EXPECT_EQ(bench.b.count(HandshakeEvent::cookie_reply_sent), 1U);
    EXPECT_EQ(nb_admitted, 5U);
    EXPECT_EQ(bench.b.count(HandshakeEvent::rate_limited), 4U);
    // tick() frees the entry, and asks to be called for it.
    EXPECT_LE(bench.b.device.next_deadline(), 1 + kNsPerSecond);
    bench.b.device.tick(at(3 * kNsPerSecond));
    EXPECT_EQ(bench.b.device.next_deadline(), kNeverNs);
}

TEST(Cookie, W24_Mac2IsIgnoredWithoutLoad) {
    Bench bench;
    SendMessage message = initiation(bench, at(1));
    for (size_t n = 132; n < 148; ++n)
        message.message.bytes[n] = 0x5a;
    bench.give(bench.b, message, at(1));
    EXPECT_EQ(bench.b.take_message()->message.len, 92U);
}

TEST(Cookie, W24_NoReplyIsLargerThanItsRequest) {
    Bench bench;
    const SendMessage first = initiation(bench, at(1));
    bench.give(bench.b, first, at(1), kLoaded);
    const size_t cookie_reply_len = bench.b.take_message()->message.len;
    Bench calm;
    const SendMessage second = initiation(calm, at(1));
    calm.give(calm.b, second, at(1));
    const SendMessage response = *calm.b.take_message();
    calm.give(calm.a, response, at(1), kLoaded);
    const size_t reply_to_response_len = calm.a.take_message()->message.len;
    EXPECT_LE(10 * cookie_reply_len, 7 * first.message.len);
    EXPECT_LE(10 * response.message.len, 7 * second.message.len);
    EXPECT_LE(10 * reply_to_response_len, 7 * response.message.len);
}

TEST(UnderLoad, W26_AppliesToResponses) {
    Bench bench;
    bench.give(bench.b, initiation(bench, at(1)), at(1));
    const SendMessage response = *bench.b.take_message();
    bench.give(bench.a, response, at(2), kLoaded);
    const std::optional<SendMessage> reply = bench.a.take_message();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->message.len, 64U);
    EXPECT_EQ(bench.a.peer().session, SessionState::handshaking);
    // The responder takes the cookie: its next response carries mac2.
    bench.give(bench.b, *reply, at(3));
    EXPECT_EQ(bench.b.count(HandshakeEvent::cookie_reply_received), 1U);
    bench.a.device.tick(at(6 * kNsPerSecond));
    bench.give(bench.b, *bench.a.take_message(), at(6 * kNsPerSecond));
    bench.give(bench.a, *bench.b.take_message(), at(6 * kNsPerSecond), kLoaded);
    EXPECT_EQ(bench.a.peer().session, SessionState::established);
}

TEST(UnderLoad, W26_RateLimitsResponses) {
    Bench bench;
    bench.give(bench.b, initiation(bench, at(1)), at(1));
    ResponseMessage response =
        message_from<ResponseMessage>(bench.b.take_message()->message.view());
    CookieJar jar{bench.a.device.public_key()};
    for (uint8_t n = 0; n < 8; ++n) {
        response.encrypted_nothing[0] = n;
        jar.stamp(bytes_of(response), 2);
        bench.a.device.receive(bytes_of(response), bench.from_box(2), kLoaded, at(2));
        if (const auto reply = bench.a.take_message())
            jar.consume(message_from<CookieReplyMessage>(reply->message.view()), 2);
    }
    EXPECT_EQ(bench.a.count(HandshakeEvent::rate_limited), 2U);
}

}  // namespace
}  // namespace meshgate::wireguard
