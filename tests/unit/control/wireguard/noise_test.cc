// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/noise.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "control/wireguard/cookie.h"
#include "control/wireguard/primitives.h"
#include "tests/unit/control/wireguard/fixture.h"

namespace meshgate::wireguard {
namespace {

std::vector<uint8_t> sequence(size_t len) {
    std::vector<uint8_t> bytes(len);
    for (size_t n = 0; n < len; ++n)
        bytes[n] = static_cast<uint8_t>(n);
    return bytes;
}

TEST(Blake2s, W07_MatchesHashlib) {
    std::ifstream file{MESHGATE_VECTORS_DIR "/blake2s.txt"};
    size_t nb_hashes = 0;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words{line};
        std::string kind, digest;
        size_t key_len = 32, len = 0;
        words >> kind;
        if (kind == "mac")
            words >> key_len;
        if (kind != "hash" && kind != "keyed" && kind != "mac")
            continue;
        words >> len >> digest;
        const std::vector<uint8_t> input = sequence(len), key = sequence(key_len);
        std::vector<uint8_t> output(digest.size() / 2);
        if (kind == "hash")
            Blake2s{output.size()}.update(input).finish(output);
        else
            Blake2s{output.size(), key}.update(input).finish(output);
        EXPECT_EQ(to_hex(output), digest) << line;
        ++nb_hashes;
    }
    EXPECT_EQ(nb_hashes, 256U + 256U + 14U);
}

// RFC 7693, appendix B.
TEST(Blake2s, MatchesTheRfc) {
    const std::string text = "abc";
    EXPECT_EQ(to_hex(hash({reinterpret_cast<const uint8_t*>(text.data()), text.size()})),
              "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
}

TEST(Kdf, W07_MatchesHmacOverHashlib) {
    std::ifstream file{MESHGATE_VECTORS_DIR "/blake2s.txt"};
    size_t nb_checked = 0;
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("kdf "))
            continue;
        std::istringstream words{line};
        std::string kind, key_hex, input_hex, t1, t2, t3;
        words >> kind >> key_hex >> input_hex >> t1 >> t2 >> t3;
        const SecretKey key{array_from_hex<32>(key_hex)};
        const std::vector<uint8_t> input =
            input_hex == "-" ? std::vector<uint8_t>{} : from_hex(input_hex);
        SecretKey one, two, three;
        kdf({&one}, key, input);
        EXPECT_EQ(to_hex(one.bytes()), t1);
        kdf({&one, &two, &three}, key, input);
        EXPECT_EQ(to_hex(one.bytes()), t1);
        EXPECT_EQ(to_hex(two.bytes()), t2);
        EXPECT_EQ(to_hex(three.bytes()), t3);
        ++nb_checked;
    }
    EXPECT_EQ(nb_checked, 8U);
}

// RFC 7748, sections 5.2 and 6.1.
TEST(X25519, W07_MatchesTheRfc) {
    struct Case {
        const char *scalar, *point, *result;
    };
    for (const auto& [scalar, point, result] :
         {Case{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
               "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
               "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
          Case{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
               "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
               "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"}}) {
        SecretKey shared;
        EXPECT_TRUE(x25519(shared, SecretKey{array_from_hex<32>(scalar)},
                           PublicKey{array_from_hex<32>(point)}));
        EXPECT_EQ(to_hex(shared.bytes()), result);
    }
    SecretKey k{
        array_from_hex<32>("0900000000000000000000000000000000000000000000000000000000000000")};
    PublicKey u;
    std::copy(k.bytes().begin(), k.bytes().end(), u.bytes.begin());
    for (int n = 0; n < 1000; ++n) {
        SecretKey next;
        ASSERT_TRUE(x25519(next, k, u));
        std::copy(k.bytes().begin(), k.bytes().end(), u.bytes.begin());
        k = std::move(next);
        if (n == 0) {
            EXPECT_EQ(to_hex(k.bytes()),
                      "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
        }
    }
    EXPECT_EQ(to_hex(k.bytes()),
              "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

// The seven points of small order, as they may be encoded.
const std::array<const char*, 7> kLowOrder{
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

TEST(X25519, W08_RefusesLowOrderPoints) {
    for (const char* hex : kLowOrder) {
        PublicKey point{array_from_hex<32>(hex)};
        SecretKey shared;
        EXPECT_FALSE(x25519(shared, secret(1), point)) << hex;
        point.bytes[31] |= 0x80;  // the top bit is ignored
        EXPECT_FALSE(x25519(shared, secret(1), point)) << hex;
    }
}

TEST(Handshake, W08_NeverSendsToAPeerWithALowOrderKey) {
    for (const char* hex : kLowOrder) {
        Bench bench;
        PeerOptions options;
        options.public_key.bytes = array_from_hex<32>(hex);
        options.endpoint = endpoint_of(9);
        options.persistent_keepalive_s = 1;
        ASSERT_TRUE(bench.a.device.add_peer(99, std::move(options), at(0)));
        bench.a.device.on_no_session(99, at(0));
        for (uint64_t second = 1; second < 600; ++second)
            bench.a.device.tick(at(second * kNsPerSecond));
        EXPECT_FALSE(bench.a.take_message()) << hex;
        EXPECT_FALSE(bench.a.device.peer_view(99)->usable_key);
    }
}

TEST(Noise, W08_RefusesALowOrderEphemeral) {
    Bench bench;
    for (const char* hex : kLowOrder) {
        bench.a.device.on_no_session(Bench::kPeer, at(0));
        InitiationMessage message{};
        message.type = to_le32(1);
        message.ephemeral = array_from_hex<32>(hex);
        CookieJar jar{bench.b.device.public_key()};
        jar.stamp(bytes_of(message), 0);
        bench.b.device.receive(bytes_of(message), bench.from_box(1), 0, at(0));
        EXPECT_FALSE(bench.b.take_message());

        ReceivedInitiation received;
        const Identity own{secret(2), public_key_of(secret(2))};
        EXPECT_FALSE(open_static(received, message, own));
    }
    EXPECT_EQ(bench.b.count(HandshakeEvent::bad_tag), kLowOrder.size());
}

// ---- whole handshakes ----

using Vector = std::map<std::string, std::string>;

std::vector<Vector> noise_vectors() {
    std::vector<Vector> vectors(1);
    std::ifstream file{MESHGATE_VECTORS_DIR "/noise.txt"};
    for (std::string line; std::getline(file, line);) {
        if (line.empty())
            vectors.emplace_back();
        else if (line[0] != '#')
            vectors.back()[line.substr(0, line.find(' '))] = line.substr(line.find(' ') + 1);
    }
    vectors.pop_back();
    return vectors;
}

struct Party {
    Identity own;
    RemoteIdentity remote;
};

Party party(const std::string& own_hex, const std::string& remote_hex, const std::string& psk) {
    Party result;
    result.own.private_key = SecretKey{array_from_hex<32>(own_hex)};
    result.own.public_key = public_key_of(result.own.private_key);
    result.remote.public_key = public_key_of(SecretKey{array_from_hex<32>(remote_hex)});
    result.remote.preshared_key = SecretKey{array_from_hex<32>(psk)};
    EXPECT_TRUE(precompute(result.remote, result.own));
    return result;
}

uint32_t index_of(const std::string& hex) {
    return static_cast<uint32_t>(std::stoul(hex, nullptr, 16));
}

void check_vector(Vector vector) {
    const Party i = party(vector["static_i"], vector["static_r"], vector["psk"]);
    const Party r = party(vector["static_r"], vector["static_i"], vector["psk"]);
    const uint64_t wall_ns = std::stoull(vector["wall_ns"], nullptr, 16);

    InitiationMessage initiation;
    SentInitiation sent;
    ASSERT_TRUE(create_initiation(initiation, sent, i.own, i.remote,
                                  SecretKey{array_from_hex<32>(vector["ephemeral_i"])},
                                  Timestamp::from_wall(wall_ns), index_of(vector["index_i"])));
    CookieJar jar{i.remote.public_key};
    jar.stamp(bytes_of(initiation), 1);
    const std::vector<uint8_t> cookie_reply = from_hex(vector["cookie_reply"]);
    ASSERT_TRUE(jar.consume(message_from<CookieReplyMessage>(cookie_reply), 2));
    jar.stamp(bytes_of(initiation), 3);
    EXPECT_EQ(to_hex(bytes_of(initiation)), vector["initiation"]);

    ReceivedInitiation received;
    ASSERT_TRUE(open_static(received, initiation, r.own));
    EXPECT_EQ(received.remote_static, i.own.public_key);
    ASSERT_TRUE(open_timestamp(received, initiation, r.remote));
    EXPECT_EQ(received.timestamp, Timestamp::from_wall(wall_ns));
    ResponseMessage response;
    TransportKeys of_r, of_i;
    ASSERT_TRUE(create_response(response, of_r, received, r.remote,
                                SecretKey{array_from_hex<32>(vector["ephemeral_r"])},
                                index_of(vector["index_r"])));
    CookieJar{r.remote.public_key}.stamp(bytes_of(response), 1);
    EXPECT_EQ(to_hex(bytes_of(response)), vector["response"]);

    ASSERT_TRUE(consume_response(of_i, response, sent, i.own, i.remote));
    EXPECT_EQ(to_hex(of_i.send.bytes()), vector["initiator_sends"]);
    EXPECT_EQ(to_hex(of_i.receive.bytes()), vector["responder_sends"]);
    EXPECT_EQ(to_hex(of_r.receive.bytes()), vector["initiator_sends"]);
    EXPECT_EQ(to_hex(of_r.send.bytes()), vector["responder_sends"]);
}

TEST(Noise, W07_MatchesAnIndependentImplementation) {
    const std::vector<Vector> vectors = noise_vectors();
    ASSERT_EQ(vectors.size(), 8U);
    for (const Vector& vector : vectors)
        check_vector(vector);
}

TEST(Noise, RefusesEveryFlippedBit) {
    const Vector vector = noise_vectors().front();
    const Party i = party(vector.at("static_i"), vector.at("static_r"), vector.at("psk"));
    const Party r = party(vector.at("static_r"), vector.at("static_i"), vector.at("psk"));
    InitiationMessage initiation;
    SentInitiation sent;
    ASSERT_TRUE(create_initiation(initiation, sent, i.own, i.remote, secret(3),
                                  Timestamp::from_wall(5), 77));
    const size_t sealed_end = sizeof(initiation) - kMacsLen;
    for (size_t bit = 8 * 8; bit < sealed_end * 8; ++bit) {
        InitiationMessage flipped = initiation;
        bytes_of(flipped)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
        ReceivedInitiation received;
        // X25519 ignores the top bit, the transcript does not.
        EXPECT_FALSE(open_static(received, flipped, r.own) &&
                     open_timestamp(received, flipped, r.remote))
            << bit;
    }
    ReceivedInitiation received;
    ASSERT_TRUE(open_static(received, initiation, r.own));
    ASSERT_TRUE(open_timestamp(received, initiation, r.remote));
    ResponseMessage response;
    TransportKeys keys;
    ASSERT_TRUE(create_response(response, keys, received, r.remote, secret(4), 78));
    for (size_t bit = 12 * 8; bit < (sizeof(response) - kMacsLen) * 8; ++bit) {
        ResponseMessage flipped = response;
        bytes_of(flipped)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
        EXPECT_FALSE(consume_response(keys, flipped, sent, i.own, i.remote)) << bit;
    }
    EXPECT_TRUE(consume_response(keys, response, sent, i.own, i.remote));
}

TEST(Noise, W07_RefusesAnotherPresharedKey) {
    Party i = party(std::string(64, '1'), std::string(64, '2'), std::string(64, '0'));
    const Party r = party(std::string(64, '2'), std::string(64, '1'), std::string(64, '3'));
    InitiationMessage initiation;
    SentInitiation sent;
    ASSERT_TRUE(create_initiation(initiation, sent, i.own, i.remote, secret(3),
                                  Timestamp::from_wall(5), 77));
    ReceivedInitiation received;
    ASSERT_TRUE(open_static(received, initiation, r.own));
    ASSERT_TRUE(open_timestamp(received, initiation, r.remote));
    ResponseMessage response;
    TransportKeys keys;
    ASSERT_TRUE(create_response(response, keys, received, r.remote, secret(4), 78));
    EXPECT_FALSE(consume_response(keys, response, sent, i.own, i.remote));
    i.remote.preshared_key = r.remote.preshared_key.clone();
    EXPECT_TRUE(consume_response(keys, response, sent, i.own, i.remote));
}

// ---- timestamps ----

TEST(Timestamp, W14_IsWhitenedTai64n) {
    const uint64_t wall_ns = 1'700'000'000 * kNsPerSecond + 123'456'789;
    EXPECT_EQ(to_hex(Timestamp::from_wall(wall_ns).bytes), "400000006553f10a07000000");
    EXPECT_EQ(to_hex(Timestamp::from_wall(0).bytes), "400000000000000a00000000");
    // 2^24 ns is 16.777216 ms: less is the same timestamp, more is a greater one.
    const uint64_t second_ns = 1'700'000'000 * kNsPerSecond;
    EXPECT_EQ(Timestamp::from_wall(second_ns), Timestamp::from_wall(second_ns + 16'777'215));
    EXPECT_LT(Timestamp::from_wall(second_ns), Timestamp::from_wall(second_ns + 16'777'216));
    EXPECT_LT(Timestamp::from_wall(second_ns + 999'999'999),
              Timestamp::from_wall(second_ns + kNsPerSecond));
    EXPECT_EQ(Timestamp::from_wall(second_ns + 20'000'000).bytes[8 + 1], 0x00);
    EXPECT_EQ(Timestamp::from_wall(second_ns + 20'000'000).bytes[8], 0x01);
}

TEST(Timestamp, W14_SuccessorIsTheLeastThatIsGreater) {
    Timestamp timestamp = Timestamp::from_wall(1'700'000'000 * kNsPerSecond);
    for (int n = 0; n < 1000; ++n) {
        const Timestamp next = timestamp.successor();
        ASSERT_LT(timestamp, next);
        ASSERT_EQ(Timestamp::from_wall(next.wall_ns()), next);  // of the form others have
        ASSERT_LE(next.wall_ns() - timestamp.wall_ns(), uint64_t{1} << 24);
        timestamp = next;
    }
}

TEST(Timings, RefusesWhatWouldNeverRekey) {
    EXPECT_TRUE(Timings{}.validate());
    const auto refuses = [](auto change) {
        Timings timings;
        change(timings);
        return !timings.validate();
    };
    EXPECT_TRUE(refuses([](Timings& t) { t.rekey_after_time_ns = t.reject_after_time_ns; }));
    EXPECT_TRUE(refuses([](Timings& t) { t.rekey_after_time_ns = 0; }));
    EXPECT_TRUE(refuses([](Timings& t) { t.rekey_timeout_ns = 0; }));
    EXPECT_TRUE(refuses([](Timings& t) { t.keepalive_timeout_ns = 0; }));
    EXPECT_TRUE(refuses([](Timings& t) { t.reject_after_time_ns = 15 * kNsPerSecond; }));
    EXPECT_TRUE(refuses([](Timings& t) { t.zeroize_after_time_ns = 179 * kNsPerSecond; }));
    EXPECT_TRUE(refuses([](Timings& t) { t.max_initiations = 0; }));
    EXPECT_TRUE(refuses([](Timings& t) { t.rekey_after_messages = 0; }));
    EXPECT_TRUE(refuses([](Timings& t) { t.rekey_timeout_jitter_ns = 6 * kNsPerSecond; }));
}

}  // namespace
}  // namespace meshgate::wireguard
