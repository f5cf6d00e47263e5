// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/device.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/control/wireguard/fixture.h"

namespace meshgate::wireguard {
namespace {

constexpr PeerId kPeer = Bench::kPeer;

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
    EXPECT_EQ(bench.a.device.add_peer(8, std::move(options), at(0)),
              tl::unexpected{PeerRefused::own_key});
    EXPECT_FALSE(bench.a.device.peer_view(8));
    EXPECT_EQ(bench.a.device.add_peer(8, bench.options_for(bench.b), at(0)),
              tl::unexpected{PeerRefused::duplicate_key});
    options.public_key = public_key_of(secret(60));
    EXPECT_EQ(bench.a.device.add_peer(kPeer, std::move(options), at(0)),
              tl::unexpected{PeerRefused::duplicate_id});
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
