// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/device.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <cstring>
#include <set>

#include "control/wireguard/cookie.h"
#include "control/wireguard/receiver_indices.h"
#include "tests/unit/control/wireguard/allocation_counter.h"
#include "tests/unit/control/wireguard/fixture.h"

namespace meshgate::wireguard {
namespace {

constexpr PeerId kPeer = Bench::kPeer;

uint32_t sender_index(const SendMessage& message) {
    Le32 word{};
    std::memcpy(word.data(), message.message.bytes.data() + 4, word.size());
    return from_le32(word);
}

TEST(Handshake, W01_LengthMustBeExactAndReservedBytesZero) {
    for (const uint32_t type : {1U, 2U, 3U}) {
        const size_t exact = type == 1 ? 148 : type == 2 ? 92 : 64;
        for (size_t len = 0; len <= 200; ++len) {
            Bench bench;
            std::vector<uint8_t> datagram(len);
            if (len != 0)
                datagram[0] = static_cast<uint8_t>(type);
            bench.b.device.receive(datagram, bench.from_box(1), 0, at(1));
            EXPECT_EQ(bench.b.count(HandshakeEvent::bad_length), len == exact ? 0U : 1U)
                << type << " " << len;
        }
    }
    for (size_t n = 1; n < 4; ++n) {
        Bench bench;
        SendMessage message = initiation(bench.a, at(1));
        message.message.bytes[n] = 1;
        CookieJar{bench.b.device.public_key()}.stamp({message.message.bytes.data(), 148}, 1);
        bench.give(bench.b, message, at(1));
        EXPECT_EQ(bench.b.count(HandshakeEvent::bad_length), 1U);
        EXPECT_FALSE(bench.b.take_message());
    }
}

TEST(Handshake, W01_OtherTypesAreNotForTheHandshake) {
    Bench bench;
    for (uint32_t type = 0; type < 256; ++type) {
        if (type >= 1 && type <= 3)
            continue;
        std::vector<uint8_t> datagram(148);
        datagram[0] = static_cast<uint8_t>(type);
        bench.b.device.receive(datagram, bench.from_box(1), 0, at(1));
    }
    EXPECT_EQ(bench.b.count(HandshakeEvent::bad_length), 253U);
}

TEST(Handshake, W25_StrangersGetSilenceAndCostNoMemory) {
    Bench bench;
    const SendMessage genuine = initiation(bench.a, at(1));
    std::vector<std::vector<uint8_t>> datagrams;
    std::mt19937_64 random{3};
    for (int n = 0; n < 20'000; ++n) {
        std::vector<uint8_t> datagram(random() % 160);
        for (uint8_t& byte : datagram)
            byte = static_cast<uint8_t>(random());
        if (n % 4 == 1 && datagram.size() >= 4)
            std::memcpy(datagram.data(), "\1\0\0\0", 4);
        if (n % 4 == 2) {  // a genuine one, cut short
            const auto view = genuine.message.view();
            datagram.assign(view.begin(), view.end() - 1 - static_cast<long>(random() % 147));
        }
        if (n % 4 == 3) {  // of the right length, with a wrong mac1
            datagram.assign(genuine.message.view().begin(), genuine.message.view().end());
            datagram[116 + random() % 16] ^= 0x10;
        }
        datagrams.push_back(std::move(datagram));
    }
    const Addressing from = bench.from_box(1);
    std::vector<Action> actions;
    const size_t before = nb_allocations();
    for (const std::vector<uint8_t>& datagram : datagrams)
        bench.b.device.receive(datagram, from, datagram.size() * 8, at(2));
    bench.b.device.drain(actions);
    EXPECT_EQ(nb_allocations(), before);
    EXPECT_TRUE(actions.empty());
    EXPECT_GE(bench.b.count(HandshakeEvent::bad_mac1), 5000U);
}

TEST(Handshake, W25_UnknownPeersGetNoAnswer) {
    Bench bench;
    Device stranger{DeviceOptions{}};
    stranger.set_private_key(secret(99), at(0));
    PeerOptions options;
    options.public_key = bench.b.device.public_key();
    options.endpoint = endpoint_of(2);
    stranger.add_peer(1, std::move(options), at(0));
    stranger.up(at(0));
    stranger.on_no_session(1, at(1));
    std::vector<Action> actions;
    stranger.drain(actions);
    for (const Action& action : actions)
        if (const auto* message = std::get_if<SendMessage>(&action))
            bench.give(bench.b, *message, at(1));
    EXPECT_EQ(bench.b.count(HandshakeEvent::unknown_peer), 1U);
    EXPECT_FALSE(bench.b.take_message());
    EXPECT_TRUE(bench.b.actions.empty());
}

TEST(Handshake, ADeviceThatIsDownAnswersNobody) {
    Bench bench;
    bench.b.device.down(at(1));
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    EXPECT_EQ(bench.b.count(HandshakeEvent::device_down), 1U);
    EXPECT_FALSE(bench.b.take_message());
    bench.b.device.on_no_session(kPeer, at(1));
    EXPECT_FALSE(bench.b.take_message());
}

TEST(Handshake, BothSidesGetOneAnothersKeys) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(1));
    const InstallKeypair& ours = *bench.a.last<InstallKeypair>();
    const InstallKeypair& theirs = *bench.b.last<InstallKeypair>();
    EXPECT_TRUE(ours.send_key.equals(theirs.receive_key));
    EXPECT_TRUE(ours.receive_key.equals(theirs.send_key));
    EXPECT_FALSE(ours.send_key.equals(ours.receive_key));
    EXPECT_EQ(ours.local_index, theirs.remote_index);
    EXPECT_EQ(ours.remote_index, theirs.local_index);
    EXPECT_EQ(ours.reject_after_ns, ours.created_ns + 180 * kNsPerSecond);
}

TEST(Handshake, W07_PresharedKeysMustAgree) {
    Bench bench;
    PeerOptions options = bench.options_for(bench.b);
    options.preshared_key = secret(77);
    bench.a.device.update_peer(kPeer, std::move(options), at(0));
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    bench.give(bench.a, *bench.b.take_message(), at(1));
    EXPECT_EQ(bench.a.count(HandshakeEvent::bad_tag), 1U);
    EXPECT_EQ(bench.a.peer().session, SessionState::handshaking);
    options = bench.options_for(bench.a);
    options.preshared_key = secret(77);
    bench.b.device.update_peer(kPeer, std::move(options), at(2));
    bench.a.device.tick(at(6 * kNsPerSecond));
    bench.give(bench.b, *bench.a.take_message(), at(6 * kNsPerSecond));
    bench.give(bench.a, *bench.b.take_message(), at(6 * kNsPerSecond));
    EXPECT_EQ(bench.a.peer().session, SessionState::established);
}

TEST(Handshake, W09_AResponseIsAcceptedOnceAndForItsOwnInitiation) {
    Bench bench;
    const SendMessage first = initiation(bench.a, at(1));
    bench.give(bench.b, first, at(1));
    const SendMessage response = *bench.b.take_message();

    ResponseMessage astray = message_from<ResponseMessage>(response.message.view());
    astray.receiver_index = to_le32(from_le32(astray.receiver_index) ^ 0x100);
    CookieJar{bench.a.device.public_key()}.stamp(bytes_of(astray), 1);
    bench.a.device.receive(bytes_of(astray), bench.from_box(2), 0, at(1));
    EXPECT_EQ(bench.a.count(HandshakeEvent::stale_response), 1U);

    bench.give(bench.a, response, at(1));
    EXPECT_EQ(bench.a.nb<InstallKeypair>(), 1U);
    for (int n = 0; n < 10; ++n)
        bench.give(bench.a, response, at(2));
    EXPECT_EQ(bench.a.nb<InstallKeypair>(), 1U);
    EXPECT_EQ(bench.a.count(HandshakeEvent::stale_response), 11U);
}

TEST(Handshake, W09_AResponseToAnInitiationBeforeTheLastIsRefused) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    const SendMessage late = *bench.b.take_message();
    bench.a.device.tick(at(6 * kNsPerSecond));
    ASSERT_TRUE(bench.a.take_message());
    bench.give(bench.a, late, at(6 * kNsPerSecond));
    EXPECT_EQ(bench.a.count(HandshakeEvent::stale_response), 1U);
    EXPECT_EQ(bench.a.nb<InstallKeypair>(), 0U);
}

TEST(Handshake, W09_AFalseResponseLeavesTheInitiationWaiting) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    const SendMessage genuine = *bench.b.take_message();
    ResponseMessage forged = message_from<ResponseMessage>(genuine.message.view());
    forged.encrypted_nothing[0] ^= 1;
    CookieJar{bench.a.device.public_key()}.stamp(bytes_of(forged), 1);
    bench.a.device.receive(bytes_of(forged), bench.from_box(9), 0, at(1));
    EXPECT_EQ(bench.a.count(HandshakeEvent::bad_tag), 1U);
    EXPECT_EQ(bench.a.peer().endpoint->remote, endpoint_of(2));
    bench.give(bench.a, genuine, at(1));
    EXPECT_EQ(bench.a.peer().session, SessionState::established);
}

// The receiver index is not part of what the AEAD covers: anybody may write another one.
TEST(Handshake, W09_AGenuineResponseUnderAnotherLiveIndexIsRefused) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(1));
    const uint32_t current = bench.a.peer().current_local_index;
    const Now now = at(kMinute);
    bench.give(bench.b, initiation(bench.a, now), now);
    ResponseMessage moved = message_from<ResponseMessage>(bench.b.take_message()->message.view());
    moved.receiver_index = to_le32(current);
    CookieJar{bench.a.device.public_key()}.stamp(bytes_of(moved), 1);
    bench.a.device.receive(bytes_of(moved), bench.from_box(2), 0, now);
    bench.a.drain();
    EXPECT_EQ(bench.a.nb<InstallKeypair>(), 1U);
    EXPECT_EQ(bench.a.count(HandshakeEvent::stale_response), 1U);
}

TEST(ReceiverIndices, W10_AreRandomUniqueAndNameTheWorker) {
    const FillRandom random = seeded_random(4);
    ReceiverIndices indices{random, 3};
    std::set<uint32_t> seen;
    std::array<size_t, 32> nb_ones{};
    for (PeerId peer = 0; peer < 10'000; ++peer) {
        const uint32_t index = indices.allocate(peer);
        EXPECT_EQ(worker_of(index), peer % 3);
        EXPECT_TRUE(seen.insert(index).second);
        EXPECT_EQ(indices.owner(index), peer);
        for (size_t bit = 0; bit < 32; ++bit)
            nb_ones[bit] += index >> bit & 1;
    }
    for (size_t bit = kWorkerBits; bit < 32; ++bit) {
        EXPECT_GT(nb_ones[bit], 4700U) << bit;
        EXPECT_LT(nb_ones[bit], 5300U) << bit;
    }
}

TEST(ReceiverIndices, W10_DrawsAgainWhenTaken) {
    uint8_t draw = 0;
    const FillRandom repeats = [&draw](std::span<uint8_t> bytes) {
        std::fill(bytes.begin(), bytes.end(), static_cast<uint8_t>(draw++ / 3 * 32));
    };
    ReceiverIndices indices{repeats, 1};
    EXPECT_NE(indices.allocate(1), indices.allocate(2));
    EXPECT_EQ(indices.size(), 2U);
}

TEST(Handshake, W10_AnIndexIsFreedWithItsHandshakeOrKeypair) {
    Bench bench;
    const SendMessage first = initiation(bench.a, at(1));
    bench.a.device.tick(at(6 * kNsPerSecond));
    const SendMessage second = *bench.a.take_message();
    EXPECT_NE(sender_index(first), sender_index(second));
    bench.give(bench.b, second, at(6 * kNsPerSecond));
    bench.give(bench.a, *bench.b.take_message(), at(6 * kNsPerSecond));
    EXPECT_EQ(bench.a.last<InstallKeypair>()->local_index, sender_index(second));
    // It stays the keypair's: the device still knows whose it is.
    bench.a.device.on_install_failed(sender_index(second), at(7 * kNsPerSecond));
    bench.a.drain();
    EXPECT_EQ(bench.a.nb<RemoveKeypair>(), 1U);
}

TEST(Handshake, W11_RandomNumbersAreDrawnBeforeAnyMessage) {
    size_t nb_draws = 0;
    DeviceOptions options;
    options.fill_random = [&nb_draws](std::span<uint8_t> bytes) {
        ++nb_draws;
        std::fill(bytes.begin(), bytes.end(), uint8_t{1});
    };
    // The first draw blocks until the kernel is seeded, so that nothing can come before it.
    Device device{std::move(options)};
    EXPECT_GE(nb_draws, 1U);
}

// libsodium's "sysrandom" is getrandom(2), which waits for the seed.
TEST(Handshake, W11_TheDefaultSourceIsTheKernels) {
    std::set<std::vector<uint8_t>> initiations;
    for (int n = 0; n < 4; ++n) {
        Bench bench{DeviceOptions{}, DeviceOptions{}};
        const SendMessage message = initiation(bench.a, at(1));
        const auto view = message.message.view().subspan(8, 32);
        initiations.emplace(view.begin(), view.end());
    }
    EXPECT_EQ(initiations.size(), 4U);
    EXPECT_EQ(std::string{randombytes_implementation_name()}, "sysrandom");
}

TEST(Handshake, W13_AnotherPrivateKeyClearsSessionsAndHandshakes) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(1));
    const uint32_t current = bench.a.peer().current_local_index;
    bench.a.device.set_private_key(bench.a.private_key.clone(), at(2));  // the same: nothing
    bench.a.drain();
    EXPECT_EQ(bench.a.nb<RemoveKeypair>(), 0U);
    EXPECT_EQ(bench.a.peer().session, SessionState::established);
    bench.a.device.set_private_key(secret(50), at(2));
    bench.a.drain();
    ASSERT_EQ(bench.a.nb<RemoveKeypair>(), 1U);
    EXPECT_EQ(bench.a.last<RemoveKeypair>()->local_index, current);
    EXPECT_EQ(bench.a.peer().session, SessionState::none);

    Bench halfway;
    halfway.give(halfway.b, initiation(halfway.a, at(1)), at(1));
    halfway.a.device.set_private_key(secret(50), at(2));
    halfway.give(halfway.a, *halfway.b.take_message(), at(2));
    EXPECT_EQ(halfway.a.nb<InstallKeypair>(), 0U);
    // With the new key a handshake is due at once, not after REKEY_TIMEOUT.
    halfway.a.device.on_no_session(kPeer, at(2));
    EXPECT_TRUE(halfway.a.take_message());
}

TEST(Handshake, ReceivingTellsTheFateOfTheMessage) {
    Bench bench;
    const auto give = [&](Bench::Side& side, const SendMessage& message, Now now,
                          size_t nb_queued = 0) {
        const HandshakeEvent fate = side.device.receive(
            message.message.view(), bench.from_box(3 - side.box), nb_queued, now);
        side.drain();
        return fate;
    };
    const SendMessage first = initiation(bench.a, at(1));
    SendMessage broken = first;
    broken.message.bytes[116] ^= 1;  // mac1
    EXPECT_EQ(give(bench.b, broken, at(1)), HandshakeEvent::bad_mac1);
    EXPECT_EQ(give(bench.a, first, at(1)), HandshakeEvent::bad_mac1);  // it is for b
    EXPECT_EQ(give(bench.b, first, at(1)), HandshakeEvent::response_sent);
    EXPECT_EQ(give(bench.b, first, at(2)), HandshakeEvent::replayed_initiation);
    const SendMessage response = *bench.b.take_message();
    EXPECT_EQ(give(bench.a, response, at(2)), HandshakeEvent::response_received);
    EXPECT_EQ(give(bench.a, response, at(3)), HandshakeEvent::stale_response);
    EXPECT_EQ(give(bench.b, first, at(3), 512), HandshakeEvent::bad_mac2);
    const SendMessage reply = *bench.b.take_message();
    EXPECT_EQ(give(bench.a, reply, at(3)), HandshakeEvent::cookie_reply_received);
    EXPECT_EQ(give(bench.a, reply, at(3)), HandshakeEvent::stale_cookie_reply);
    EXPECT_TRUE(is_for_another(HandshakeEvent::bad_mac1));
    EXPECT_TRUE(is_for_another(HandshakeEvent::stale_response));
    EXPECT_TRUE(is_for_another(HandshakeEvent::stale_cookie_reply));
    EXPECT_FALSE(is_for_another(HandshakeEvent::bad_mac2));
    EXPECT_FALSE(is_for_another(HandshakeEvent::replayed_initiation));
}

TEST(Handshake, W41_MessagesAreMarkedAf41) {
    Bench bench;
    const SendMessage first = initiation(bench.a, at(1));
    EXPECT_EQ(first.tos, 0x88);
    bench.give(bench.b, first, at(1));
    EXPECT_EQ(bench.b.take_message()->tos, 0x88);
    Bench loaded;
    loaded.give(loaded.b, initiation(loaded.a, at(1)), at(1), 512);
    EXPECT_EQ(loaded.b.take_message()->tos, 0x88);
}

}  // namespace
}  // namespace meshgate::wireguard
