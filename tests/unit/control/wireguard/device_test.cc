// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/device.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "control/wireguard/cookie.h"
#include "control/wireguard/noise.h"
#include "control/wireguard/receiver_indices.h"
#include "tests/unit/control/wireguard/allocation_counter.h"
#include "tests/unit/control/wireguard/fixture.h"

namespace meshgate::wireguard {
namespace {

constexpr PeerId kPeer = Bench::kPeer;

SendMessage initiation(Bench::Side& side, Now now) {
    side.device.on_no_session(kPeer, now);
    return *side.take_message();
}

uint32_t sender_index(const SendMessage& message) {
    Le32 word{};
    std::memcpy(word.data(), message.message.bytes.data() + 4, word.size());
    return from_le32(word);
}

// ---- form and silence ----

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

// ---- the exchange ----

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

TEST(Device, W13_AKeyEqualToAPeersRemovesThatPeer) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(1));
    bench.a.device.set_private_key(bench.b.private_key.clone(), at(2));
    bench.a.drain();
    EXPECT_FALSE(bench.a.device.peer_view(kPeer));
    EXPECT_EQ(bench.a.nb<PeerRemoved>(), 1U);
    EXPECT_EQ(bench.a.nb<RemoveKeypair>(), 1U);
    EXPECT_EQ(bench.a.nb<PurgeStaged>(), 1U);
    EXPECT_FALSE(bench.a.device.find_peer(bench.a.device.public_key()));
    EXPECT_EQ(bench.a.device.next_deadline(), kNeverNs);
}

TEST(Device, W13_WeAreNoPeerOfOurOwn) {
    Bench bench;
    PeerOptions options;
    options.public_key = bench.a.device.public_key();
    EXPECT_EQ(bench.a.device.add_peer(8, std::move(options), at(0)), AddPeer::own_key);
    EXPECT_FALSE(bench.a.device.peer_view(8));
    EXPECT_EQ(bench.a.device.add_peer(8, bench.options_for(bench.b), at(0)),
              AddPeer::duplicate_key);
    options.public_key = public_key_of(secret(60));
    EXPECT_EQ(bench.a.device.add_peer(kPeer, std::move(options), at(0)), AddPeer::duplicate_id);
}

TEST(Device, W13_ThePrivateKeyIsClamped) {
    SecretKey loose = secret(70);
    loose.mutable_bytes()[0] |= 7;
    loose.mutable_bytes()[31] |= 0x80;
    SecretKey clamped = loose.clone();
    clamped.mutable_bytes()[0] &= 248;
    clamped.mutable_bytes()[31] = static_cast<uint8_t>((clamped.bytes()[31] & 127) | 64);
    Device device{DeviceOptions{}};
    device.set_private_key(clamped.clone(), at(0));
    const PublicKey expected = device.public_key();
    PeerOptions options;
    options.public_key = public_key_of(secret(2));
    options.endpoint = endpoint_of(2);
    device.add_peer(1, std::move(options), at(0));
    device.up(at(0));
    device.on_no_session(1, at(0));
    // The loose form is the same key: an outstanding handshake stays.
    device.set_private_key(std::move(loose), at(1));
    EXPECT_EQ(device.public_key(), expected);
    EXPECT_EQ(device.peer_view(1)->session, SessionState::handshaking);
}

// ---- timestamps and replays ----

TEST(Handshake, W14_OwnTimestampsGrowWhateverTheWallClockDoes) {
    Bench bench;
    std::array<uint8_t, 12> last{};
    uint64_t now_ns = kMinute;
    for (const int64_t wall_s : {1'700'000'000, 1'600'000'000, 0, 1'600'000'000, 1'900'000'000}) {
        const Now now = Now::at(now_ns, static_cast<uint64_t>(wall_s) * kNsPerSecond);
        bench.a.device.on_no_session(kPeer, now);
        bench.a.device.tick(now);
        const std::optional<SendMessage> message = bench.a.take_message();
        ASSERT_TRUE(message);
        bench.give(bench.b, *message, at(now_ns));
        const std::array<uint8_t, 12> timestamp = bench.b.peer().greatest_timestamp;
        EXPECT_LT(last, timestamp) << wall_s;
        last = timestamp;
        now_ns += 6 * kNsPerSecond;
    }
    EXPECT_EQ(bench.b.count(HandshakeEvent::initiation_received), 5U);
}

TEST(Handshake, W14_TimestampsStayAboveTheMarkOfAnEarlierRun) {
    Bench bench;
    const uint64_t mark_ns = 2'000'000'000 * kNsPerSecond;
    bench.a.device.raise_timestamp_floor(mark_ns);
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    Timestamp timestamp;
    timestamp.bytes = bench.b.peer().greatest_timestamp;
    EXPECT_GT(timestamp, Timestamp::from_wall(mark_ns));
    EXPECT_LT(timestamp, Timestamp::from_wall(mark_ns + 40 * kNsPerMs));
    EXPECT_EQ(bench.a.device.greatest_timestamp_sent_ns(), timestamp.wall_ns());
}

TEST(Handshake, W15_RefusesAReplayedInitiation) {
    Bench bench;
    std::vector<SendMessage> recorded;
    for (uint64_t n = 0; n < 5; ++n) {
        const Now now = at(n * kMinute);
        recorded.push_back(initiation(bench.a, now));
        bench.give(bench.b, recorded.back(), now);
        bench.give(bench.a, *bench.b.take_message(), now);
        bench.a.device.clear_sessions(now);
        bench.a.drain();
    }
    bench.b.actions.clear();
    for (uint64_t n = 0; n < 50; ++n)
        bench.give(bench.b, recorded[n % recorded.size()], bench.from_box(9),
                   at((6 + n) * kMinute));
    EXPECT_FALSE(bench.b.take_message());
    EXPECT_TRUE(bench.b.actions.empty());
    EXPECT_EQ(bench.b.peer().endpoint->remote, endpoint_of(1));
    EXPECT_EQ(bench.b.count(HandshakeEvent::replayed_initiation), 10U);
    EXPECT_EQ(bench.b.count(HandshakeEvent::timestamp_in_past), 40U);
}

TEST(Handshake, W15_TheTimestampOutlivesTheSession) {
    Bench bench;
    const SendMessage recorded = initiation(bench.a, at(1));
    bench.give(bench.b, recorded, at(1));
    bench.b.device.clear_sessions(at(2));
    bench.b.device.tick(at(kHour));
    bench.b.drain();
    bench.b.messages.clear();
    bench.give(bench.b, recorded, at(2 * kHour));
    EXPECT_FALSE(bench.b.take_message());
}

// After a restart of the responder its memory is gone.
TEST(Handshake, W15_AReplayAfterARestartDisturbsNoLiveSession) {
    Bench bench;
    const SendMessage old = initiation(bench.a, at(1));
    bench.a.device.clear_sessions(at(2));
    bench.a.drain();
    bench.a.messages.clear();
    // The responder starts now; a new session is made, then the old initiation is replayed.
    Bench fresh;
    fresh.a.device.raise_timestamp_floor(at(3).wall_ns);
    fresh.give(fresh.b, old, fresh.from_box(9), at(kMinute));
    EXPECT_EQ(fresh.b.messages.size(), 1U);  // at most one answer
    fresh.b.messages.clear();
    EXPECT_EQ(fresh.b.peer().endpoint->remote, endpoint_of(9));  // until the next authentic packet
    fresh.handshake(fresh.a, fresh.b, at(2 * kMinute));
    EXPECT_EQ(fresh.b.peer().endpoint->remote, endpoint_of(1));
    const uint32_t current = fresh.b.peer().current_local_index;
    for (uint64_t n = 0; n < 10; ++n)
        fresh.give(fresh.b, old, fresh.from_box(9), at(2 * kMinute + n * kNsPerSecond));
    EXPECT_EQ(fresh.b.peer().current_local_index, current);
    EXPECT_EQ(fresh.b.peer().session, SessionState::established);
    EXPECT_EQ(fresh.b.peer().endpoint->remote, endpoint_of(1));
    EXPECT_TRUE(fresh.b.messages.empty());
}

// The same, with the replay falling into a session that lives: it may fill `next`, no more.
TEST(Handshake, W15_AnUnconfirmedSessionLeavesCurrentAndPreviousAlone) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(1));
    bench.a.device.clear_sessions(at(2));
    bench.handshake(bench.a, bench.b, at(kMinute));
    const uint32_t current = bench.b.peer().current_local_index;
    bench.a.device.clear_sessions(at(kMinute));
    bench.a.drain();
    bench.b.actions.clear();
    bench.give(bench.b, initiation(bench.a, at(2 * kMinute)), at(2 * kMinute));
    EXPECT_EQ(bench.b.peer().current_local_index, current);
    EXPECT_EQ(bench.b.nb<RemoveKeypair>(), 0U);
    EXPECT_EQ(bench.b.nb<UseForSending>(), 0U);
}

TEST(Handshake, W16_OneInitiationPer20MillisecondsEvenWithACookie) {
    Bench bench;
    // The peer misbehaves: a device of its own identity for each initiation, clocks ahead.
    const auto next = [](uint64_t n) {
        Bench other;
        other.a.device.raise_timestamp_floor(at(kHour * (n + 1)).wall_ns);
        return initiation(other.a, at(1));
    };
    const uint64_t start_ns = kMinute;
    bench.give(bench.b, next(0), at(start_ns));
    bench.give(bench.b, next(1), at(start_ns + 20 * kNsPerMs - 1));
    EXPECT_EQ(bench.b.count(HandshakeEvent::initiation_flood), 1U);
    bench.give(bench.b, next(2), at(start_ns + 20 * kNsPerMs));
    EXPECT_EQ(bench.b.count(HandshakeEvent::initiation_received), 2U);

    // Under load, with a valid cookie, the gate stands as it is.
    Bench ahead;
    ahead.a.device.raise_timestamp_floor(at(kHour * 9).wall_ns);
    const SendMessage bare = initiation(ahead.a, at(1));
    const Now loaded = at(start_ns + 30 * kNsPerMs);
    bench.b.messages.clear();
    bench.give(bench.b, bare, loaded, 512);
    ahead.give(ahead.a, *bench.b.take_message(), at(2));
    ahead.a.device.tick(at(6 * kNsPerSecond));
    bench.give(bench.b, *ahead.a.take_message(), loaded, 512);
    EXPECT_EQ(bench.b.count(HandshakeEvent::initiation_flood), 2U);
}

TEST(Handshake, W17_AtMostOneInitiationPerRekeyTimeout) {
    Bench bench;
    std::vector<uint64_t> sent_ns;
    for (uint64_t ms = 0; ms < 60'000; ++ms) {
        const Now now = at(kMinute + ms * kNsPerMs);
        bench.a.device.on_no_session(kPeer, now);
        bench.a.device.tick(now);
        while (bench.a.take_message())
            sent_ns.push_back(now.mono_ns());
    }
    EXPECT_GE(sent_ns.size(), 11U);
    for (size_t n = 1; n < sent_ns.size(); ++n)
        EXPECT_GE(sent_ns[n] - sent_ns[n - 1], 5 * kNsPerSecond);
}

TEST(Handshake, W17_HoldsAfterASessionToo) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(kMinute));
    bench.a.device.on_install_failed(bench.a.peer().current_local_index,
                                     at(kMinute + kNsPerSecond));
    EXPECT_FALSE(bench.a.take_message());
    bench.a.device.tick(at(kMinute + 5 * kNsPerSecond - 1));
    EXPECT_FALSE(bench.a.take_message());
    bench.a.device.tick(at(kMinute + 5 * kNsPerSecond + 333 * kNsPerMs));
    EXPECT_TRUE(bench.a.take_message());  // but it is not forgotten
}

// ---- sessions ----

TEST(Session, W27_TheInitiatorSendsAtOnce) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    bench.give(bench.a, *bench.b.take_message(), at(1));
    std::vector<size_t> kinds;
    for (const Action& action : bench.a.actions)
        kinds.push_back(action.index());
    ASSERT_EQ(bench.a.nb<InstallKeypair>(), 1U);
    EXPECT_EQ(bench.a.last<InstallKeypair>()->slot, InstallKeypair::Slot::current);
    ASSERT_EQ(bench.a.nb<UseForSending>(), 1U);
    EXPECT_EQ(bench.a.last<UseForSending>()->local_index,
              bench.a.last<InstallKeypair>()->local_index);
    ASSERT_EQ(bench.a.nb<FlushStaged>(), 1U);
    EXPECT_TRUE(bench.a.last<FlushStaged>()->keepalive_if_none);
}

TEST(Session, W27_TheResponderWaitsForAnAuthenticatedPacket) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    EXPECT_EQ(bench.b.last<InstallKeypair>()->slot, InstallKeypair::Slot::next);
    EXPECT_EQ(bench.b.nb<UseForSending>(), 0U);
    EXPECT_EQ(bench.b.nb<FlushStaged>(), 0U);
    EXPECT_EQ(bench.b.peer().session, SessionState::none);
    EXPECT_EQ(bench.b.peer().last_handshake_wall_ns, 0U);
    const uint32_t local_index = bench.b.last<InstallKeypair>()->local_index;
    bench.b.device.on_confirmed(local_index ^ 0x400, at(2));
    bench.b.drain();
    EXPECT_EQ(bench.b.nb<UseForSending>(), 0U);
    bench.b.device.on_confirmed(local_index, at(2));
    bench.b.drain();
    ASSERT_EQ(bench.b.nb<UseForSending>(), 1U);
    EXPECT_EQ(bench.b.last<UseForSending>()->local_index, local_index);
    EXPECT_EQ(bench.b.nb<FlushStaged>(), 1U);
    EXPECT_FALSE(bench.b.last<FlushStaged>()->keepalive_if_none);
    bench.b.device.on_confirmed(local_index, at(3));  // a late note
    bench.b.drain();
    EXPECT_EQ(bench.b.nb<UseForSending>(), 1U);
}

TEST(Session, W27_ALateNoteOfAnotherKeypairConfirmsNothing) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(1));
    const uint32_t current = bench.b.peer().current_local_index;
    bench.a.device.clear_sessions(at(kMinute));
    bench.a.drain();
    bench.give(bench.b, initiation(bench.a, at(kMinute)), at(kMinute));
    bench.b.device.on_confirmed(current, at(kMinute));
    bench.b.drain();
    EXPECT_EQ(bench.b.peer().current_local_index, current);
    EXPECT_EQ(bench.b.nb<UseForSending>(), 1U);
}

TEST(Session, W27_TheKeypairIsInstalledBeforeTheResponseLeaves) {
    Bench bench;
    bench.b.device.receive(initiation(bench.a, at(1)).message.view(), bench.from_box(1), 0, at(1));
    std::vector<Action> actions;
    bench.b.device.drain(actions);
    const auto position = [&actions](auto is) {
        return std::find_if(actions.begin(), actions.end(), is) - actions.begin();
    };
    EXPECT_LT(position([](const Action& a) { return std::holds_alternative<InstallKeypair>(a); }),
              position([](const Action& a) { return std::holds_alternative<SendMessage>(a); }));
}

TEST(Session, W37_TheOldKeypairStaysUntilTheOneAfterNextIsUsed) {
    Bench bench;
    std::vector<uint32_t> ours, theirs;
    for (uint64_t n = 0; n < 4; ++n) {
        const Now now = at((1 + n) * 2 * kMinute - n * 30 * kNsPerSecond);
        bench.a.actions.clear();
        bench.b.actions.clear();
        bench.handshake(bench.a, bench.b, now);
        ours.push_back(bench.a.last<InstallKeypair>()->local_index);
        theirs.push_back(bench.b.last<InstallKeypair>()->local_index);
        // With generation n in use, n - 1 is kept and n - 2 goes.
        ASSERT_EQ(bench.a.nb<RemoveKeypair>(), n < 2 ? 0U : 1U);
        ASSERT_EQ(bench.b.nb<RemoveKeypair>(), n < 2 ? 0U : 1U);
        if (n >= 2) {
            EXPECT_EQ(bench.a.last<RemoveKeypair>()->local_index, ours[n - 2]);
            EXPECT_EQ(bench.b.last<RemoveKeypair>()->local_index, theirs[n - 2]);
        }
    }
}

TEST(Session, W27_AnUnusedNextGivesWayToTheNext) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    const uint32_t first = bench.b.last<InstallKeypair>()->local_index;
    bench.a.device.tick(at(6 * kNsPerSecond));
    bench.b.messages.clear();
    bench.give(bench.b, *bench.a.take_message(), at(6 * kNsPerSecond));
    ASSERT_EQ(bench.b.nb<RemoveKeypair>(), 1U);
    EXPECT_EQ(bench.b.last<RemoveKeypair>()->local_index, first);
}

TEST(Session, AKeypairThatCannotBeInstalledIsMadeAnew) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    bench.give(bench.a, *bench.b.take_message(), at(1));
    bench.a.device.on_install_failed(bench.a.peer().current_local_index, at(1));
    bench.a.device.tick(at(6 * kNsPerSecond));
    EXPECT_TRUE(bench.a.take_message());
    EXPECT_NE(bench.a.peer().session, SessionState::established);
}

TEST(Session, T10_AForkedMachineSendsNothingUnderOldKeys) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(kMinute));
    bench.a.device.on_vm_fork(at(2 * kMinute));
    bench.a.drain();
    EXPECT_EQ(bench.a.nb<StopSending>(), 1U);
    EXPECT_EQ(bench.a.nb<RemoveKeypair>(), 0U);  // it still receives
    EXPECT_NE(bench.a.peer().session, SessionState::established);
    // Timers do not send under it either; a new session does.
    Activity activity;
    activity.last_data_rx_ns = activity.last_any_rx_ns = 2 * kMinute + 1;
    bench.a.device.on_activity(kPeer, activity, at(2 * kMinute + 1));
    bench.a.device.tick(at(2 * kMinute + 11 * kNsPerSecond));
    bench.a.drain();
    EXPECT_EQ(bench.a.nb<SendKeepalive>(), 0U);
    ASSERT_EQ(bench.a.messages.size(), 1U);
    const Now now = at(2 * kMinute + 11 * kNsPerSecond);
    bench.give(bench.b, *bench.a.take_message(), now);
    bench.give(bench.a, *bench.b.take_message(), now);
    EXPECT_EQ(bench.a.peer().session, SessionState::established);
}

TEST(Session, T10_AForkedResponderForgetsWhatWasNotConfirmed) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    const uint32_t local_index = bench.b.last<InstallKeypair>()->local_index;
    bench.b.device.on_vm_fork(at(2));
    bench.b.device.on_confirmed(local_index, at(3));
    bench.b.drain();
    EXPECT_EQ(bench.b.nb<UseForSending>(), 0U);
    EXPECT_EQ(bench.b.last<RemoveKeypair>()->local_index, local_index);
}

// ---- endpoints ----

TEST(Endpoint, W39_FollowsAuthenticatedHandshakesAndRepliesFromTheAddressHit) {
    Bench bench;
    Addressing from = bench.from_box(9);
    from.port = 3;
    bench.give(bench.b, initiation(bench.a, at(1)), from, at(1));
    const SendMessage response = *bench.b.take_message();
    EXPECT_EQ(response.to, from);
    EXPECT_EQ(bench.b.last<EndpointChanged>()->to, from);
    EXPECT_EQ(*bench.b.peer().endpoint, from);
    bench.give(bench.a, response, from, at(1));
    EXPECT_EQ(*bench.a.peer().endpoint, from);
}

TEST(Endpoint, W39_NothingUnauthenticatedMovesIt) {
    Bench bench;
    const SendMessage first = initiation(bench.a, at(1));
    InitiationMessage forged = message_from<InitiationMessage>(first.message.view());
    forged.encrypted_timestamp[0] ^= 1;
    CookieJar{bench.b.device.public_key()}.stamp(bytes_of(forged), 1);
    bench.b.device.receive(bytes_of(forged), bench.from_box(9), 0, at(1));
    bench.give(bench.b, first, at(1), 512);
    bench.give(bench.a, *bench.b.take_message(), bench.from_box(9), at(1));  // a cookie reply
    bench.a.drain();
    bench.b.drain();
    EXPECT_EQ(bench.a.count(HandshakeEvent::cookie_reply_received), 1U);
    EXPECT_EQ(bench.a.nb<EndpointChanged>(), 0U);
    EXPECT_EQ(bench.b.nb<EndpointChanged>(), 0U);
    EXPECT_EQ(bench.a.peer().endpoint->remote, endpoint_of(2));
    EXPECT_EQ(bench.b.peer().endpoint->remote, endpoint_of(1));
}

TEST(Endpoint, W39_TheLocalAddressIsForgottenOnRetransmission) {
    Bench bench;
    bench.a.device.on_endpoint_moved(kPeer, bench.from_box(2), at(0));
    const SendMessage first = initiation(bench.a, at(1));
    EXPECT_EQ(first.to, bench.from_box(2));
    bench.a.device.tick(at(6 * kNsPerSecond));
    const SendMessage second = *bench.a.take_message();
    EXPECT_EQ(second.to.remote, endpoint_of(2));
    EXPECT_EQ(second.to.local, Endpoint{});
    EXPECT_EQ(second.to.port, Addressing{}.port);
    EXPECT_EQ(bench.a.last<EndpointChanged>()->to, second.to);  // data packets, too
}

TEST(Endpoint, W39_DataMovesIt) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(1));
    bench.b.device.on_endpoint_moved(kPeer, bench.from_box(9), at(2));
    bench.b.drain();
    EXPECT_EQ(bench.b.last<EndpointChanged>()->to, bench.from_box(9));
    const size_t before = bench.b.nb<EndpointChanged>();
    bench.b.device.on_endpoint_moved(kPeer, bench.from_box(9), at(3));
    bench.b.drain();
    EXPECT_EQ(bench.b.nb<EndpointChanged>(), before);
}

// The caller routes to it: initiations go to the node address, a response to wherever the
// initiation came from, and nothing moves it.
TEST(Endpoint, W39_ANodeAddressNeverMoves) {
    const NodeAddress node{*parse_address("fd6d::1")};
    Bench bench;
    PeerOptions options = bench.options_for(bench.a);
    options.endpoint = node;
    bench.b.device.update_peer(kPeer, std::move(options), at(0));
    bench.give(bench.b, initiation(bench.a, at(1)), bench.from_box(9), at(1));
    EXPECT_EQ(bench.b.take_message()->to, bench.from_box(9));
    EXPECT_EQ(bench.b.last<InstallKeypair>()->from, Location{bench.from_box(9)});
    bench.b.device.on_endpoint_moved(kPeer, bench.from_box(9), at(2));
    bench.b.device.on_no_session(kPeer, at(3));
    bench.b.drain();
    EXPECT_EQ(bench.b.nb<EndpointChanged>(), 0U);
    EXPECT_FALSE(bench.b.peer().endpoint);
    ASSERT_EQ(bench.b.nb<RouteMessage>(), 1U);
    EXPECT_EQ(bench.b.last<RouteMessage>()->to, node);
    EXPECT_EQ(bench.b.last<RouteMessage>()->message.view()[0], 1);
}

TEST(Endpoint, AnInitiationThatWasRoutedIsAnsweredTheSameWay) {
    const NodeAddress node{*parse_address("fd6d::1")};
    Bench bench;
    PeerOptions options = bench.options_for(bench.a);
    options.endpoint = node;
    bench.b.device.update_peer(kPeer, std::move(options), at(0));
    const SendMessage message = initiation(bench.a, at(1));
    EXPECT_EQ(bench.b.device.receive(message.message.view(), node, 0, at(1)),
              HandshakeEvent::response_sent);
    bench.b.drain();
    ASSERT_EQ(bench.b.nb<RouteMessage>(), 1U);
    EXPECT_EQ(bench.b.last<RouteMessage>()->to, node);
    EXPECT_EQ(bench.b.last<InstallKeypair>()->from, Location{node});
}

// A peer with an endpoint does not lose it to a message that came without one.
TEST(Endpoint, AnEndpointDoesNotMoveToANodeAddress) {
    Bench bench;
    const SendMessage message = initiation(bench.a, at(1));
    const NodeAddress node{*parse_address("fd6d::1")};
    bench.b.device.receive(message.message.view(), node, 0, at(1));
    bench.b.drain();
    EXPECT_EQ(bench.b.peer().endpoint->remote, endpoint_of(1));
    EXPECT_EQ(bench.b.nb<RouteMessage>(), 0U);
    EXPECT_EQ(bench.b.take_message()->to.remote, endpoint_of(1));
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

TEST(Endpoint, W42_NoHandshakeWithoutOne) {
    Bench bench;
    PeerOptions options;
    options.public_key = public_key_of(secret(60));
    bench.a.device.add_peer(8, std::move(options), at(0));
    bench.a.device.on_no_session(8, at(1));
    EXPECT_FALSE(bench.a.take_message());
    EXPECT_FALSE(bench.a.device.peer_view(8)->endpoint);
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

TEST(Device, EveryEventHasAName) {
    std::set<std::string> names;
    for (size_t n = 0; n < kNbHandshakeEvents; ++n) {
        ASSERT_NE(to_string(static_cast<HandshakeEvent>(n)), nullptr);
        names.insert(to_string(static_cast<HandshakeEvent>(n)));
    }
    EXPECT_EQ(names.size(), kNbHandshakeEvents);
    EXPECT_EQ(std::string{to_string(HandshakeEvent::device_down)}, "device_down");
    EXPECT_EQ(std::string{to_string(HandshakeEvent::bad_mac1)}, "bad_mac1");
}

}  // namespace
}  // namespace meshgate::wireguard
