// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/control/babel/fixture.h"

namespace meshgate::babel::test {
namespace {

const Flow kMulticast{{node_link_local(0), kPort}, {multicast_group(), kPort}};
const Flow kUnicast{{node_link_local(0), kPort}, {node_link_local(1), kPort}};
using Verdict = Authentication::Verdict;

std::vector<MacKey> key(uint8_t first, MacAlgorithm algorithm = MacAlgorithm::hmac_sha256) {
    std::array<uint8_t, 32> secret{};
    for (size_t i = 0; i < secret.size(); ++i)
        secret[i] = static_cast<uint8_t>(first + i);
    std::vector<MacKey> keys;
    keys.emplace_back(algorithm, secret);
    return keys;
}

// A sender of packets and a receiver of them.
struct Pair {
    explicit Pair(std::vector<MacKey> sent = key(0), std::vector<MacKey> expected = key(0))
        : sender{std::move(sent), seeded_random(1)},
          receiver{std::move(expected), seeded_random(2)} {}

    std::vector<uint8_t> packet(const std::vector<Tlv>& tlvs, const Flow& flow = kMulticast) {
        PacketWriter writer{1000};
        for (const Tlv& tlv : tlvs)
            EXPECT_TRUE(writer.add(tlv, flow.source.address));
        writer.add_last(sender.next_counter(), flow.source.address);
        auto bytes = writer.finish();
        sender.seal(bytes, flow);
        return bytes;
    }
    Verdict receive(const std::vector<uint8_t>& bytes, const Flow& flow = kMulticast) {
        last = receiver.open(bytes, flow, now);
        return last.verdict;
    }
    // Until the receiver knows the sender's counter.
    void introduce() {
        EXPECT_EQ(receive(packet({Ack{1}})), Verdict::challenged);
        ASSERT_TRUE(last.challenge);
        EXPECT_EQ(receive(packet({ChallengeReply{last.challenge->nonce}}, kUnicast), kUnicast),
                  Verdict::accepted);
    }

    Authentication sender;
    Authentication receiver;
    Authentication::Outcome last;
    Time now = Time{} + 1h;
};

TEST(BabelAuthentication, ComputesKnownMacs) {
    const auto text = [](std::string_view s) { return std::vector<uint8_t>(s.begin(), s.end()); };
    const MacKey hmac{MacAlgorithm::hmac_sha256, text("Jefe")};  // RFC 4231, test case 2
    EXPECT_EQ(hmac.mac(text("what do ya want "), text("for nothing?")),
              hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
}

TEST(BabelAuthentication, SealsByTheByte) {  // values from another implementation of both
    const struct {
        MacAlgorithm algorithm;
        const char* trailer;
    } cases[] = {
        {MacAlgorithm::hmac_sha256,
         "10 20 21f323ebcd6fec5f74eb0be48972859994f9d4ab671334b42e3840f4fc41e09a"},
        {MacAlgorithm::blake2s, "10 10 69a2afa7391f36c492bfb674987a1040"},
    };
    for (const auto& one : cases) {
        const Authentication sender{key(0, one.algorithm), seeded_random(1)};
        auto bytes = hex("2a020008 0406000000010190");
        auto expected = bytes;
        const auto trailer = hex(one.trailer);
        expected.insert(expected.end(), trailer.begin(), trailer.end());
        sender.seal(bytes, kMulticast);
        EXPECT_EQ(bytes, expected);
    }
}

TEST(BabelAuthentication, AcceptsOnlyAfterAChallenge) {
    Pair pair;
    pair.introduce();
    EXPECT_EQ(pair.receive(pair.packet({Ack{1}})), Verdict::accepted);
}

TEST(BabelAuthentication, RefusesWhatDoesNotVerify) {
    Pair pair;
    pair.introduce();
    auto bytes = pair.packet({Ack{1}});
    for (size_t i = 0; i < bytes.size(); ++i) {
        auto broken = bytes;
        broken[i] ^= 0x10;
        EXPECT_NE(pair.receive(broken), Verdict::accepted) << "byte " << i;
    }
    Flow other = kMulticast;
    other.source.address = node_link_local(5);
    EXPECT_EQ(pair.receive(bytes, other), Verdict::bad_mac);
    other = kMulticast;
    other.source.port = 6697;
    EXPECT_EQ(pair.receive(bytes, other), Verdict::bad_mac);
    EXPECT_EQ(pair.receive(bytes, kUnicast), Verdict::bad_mac);
    EXPECT_EQ(pair.receive(bytes), Verdict::accepted);  // untouched, it is good
    EXPECT_EQ(pair.receive(hex("2a020004 03021234")), Verdict::no_mac);
    Pair stranger{key(1), key(0)};
    EXPECT_EQ(stranger.receive(stranger.packet({Ack{1}})), Verdict::bad_mac);
    EXPECT_FALSE(stranger.last.challenge);
}

TEST(BabelAuthentication, RefusesReplays) {
    Pair pair;
    pair.introduce();
    const auto first = pair.packet({Ack{1}});
    const auto second = pair.packet({Ack{2}});
    EXPECT_EQ(pair.receive(second), Verdict::accepted);
    EXPECT_EQ(pair.receive(second), Verdict::replayed);
    EXPECT_EQ(pair.receive(first), Verdict::replayed);
}

TEST(BabelAuthentication, LetsUnicastAndMulticastOvertakeEachOther) {  // RFC 9467
    Pair pair;
    pair.introduce();
    const auto multicast = pair.packet({Ack{1}});
    const auto unicast = pair.packet({Ack{2}}, kUnicast);
    EXPECT_EQ(pair.receive(unicast, kUnicast), Verdict::accepted);
    EXPECT_EQ(pair.receive(multicast), Verdict::accepted);
    EXPECT_EQ(pair.receive(unicast, kUnicast), Verdict::replayed);
}

TEST(BabelAuthentication, RefusesPacketsWithoutACounter) {
    Pair pair;
    PacketWriter writer{1000};
    ASSERT_TRUE(writer.add(Ack{1}, kMulticast.source.address));
    auto bytes = writer.finish();
    pair.sender.seal(bytes, kMulticast);
    EXPECT_EQ(pair.receive(bytes), Verdict::no_counter);
}

TEST(BabelAuthentication, AcceptsEitherKeyWhileKeysChange) {
    auto both = key(0);
    both.push_back(std::move(key(9)[0]));
    Pair pair{key(9), std::move(both)};
    pair.introduce();
    EXPECT_EQ(pair.receive(pair.packet({Ack{1}})), Verdict::accepted);
}

TEST(BabelAuthentication, ChallengesASenderThatStartedAgain) {
    Pair pair;
    pair.introduce();
    pair.sender = Authentication{key(0), seeded_random(77)};
    EXPECT_EQ(pair.receive(pair.packet({Ack{1}})), Verdict::challenged);
}

TEST(BabelAuthentication, TakesOneAnswerInTimeToItsOwnChallenge) {
    Pair pair;
    EXPECT_EQ(pair.receive(pair.packet({Ack{1}})), Verdict::challenged);
    const auto nonce = pair.last.challenge->nonce;
    EXPECT_EQ(pair.receive(pair.packet({ChallengeReply{{1, 2, 3}}})), Verdict::challenged);
    EXPECT_EQ(pair.receive(pair.packet({ChallengeReply{{}}})), Verdict::challenged);
    pair.now += 31s;
    EXPECT_EQ(pair.receive(pair.packet({ChallengeReply{nonce}})), Verdict::challenged);
    const auto fresh = pair.last.challenge->nonce;
    EXPECT_NE(fresh, nonce);
    EXPECT_EQ(pair.receive(pair.packet({ChallengeReply{fresh}})), Verdict::accepted);
}

TEST(BabelAuthentication, LimitsChallengesAndReplies) {
    Pair pair;
    EXPECT_EQ(pair.receive(pair.packet({ChallengeRequest{{5}}})), Verdict::challenged);
    EXPECT_TRUE(pair.last.challenge);
    ASSERT_TRUE(pair.last.reply);  // answered although its counter is not known
    EXPECT_EQ(pair.last.reply->nonce, std::vector<uint8_t>{5});
    pair.now += 100ms;
    EXPECT_EQ(pair.receive(pair.packet({ChallengeRequest{{5}}})), Verdict::challenged);
    EXPECT_FALSE(pair.last.challenge);
    EXPECT_FALSE(pair.last.reply);
    pair.now += 300ms;
    EXPECT_EQ(pair.receive(pair.packet({ChallengeRequest{{5}}})), Verdict::challenged);
    EXPECT_TRUE(pair.last.challenge);
    EXPECT_TRUE(pair.last.reply);
}

TEST(BabelAuthentication, WithoutKeysAcceptsEverything) {
    Pair pair{{}, {}};
    EXPECT_EQ(pair.receive(hex("2a020004 03021234")), Verdict::accepted);
    EXPECT_EQ(pair.sender.overhead(), 0U);
}

}  // namespace
}  // namespace meshgate::babel::test
