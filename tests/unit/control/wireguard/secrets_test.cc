// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <memory>
#include <sstream>

#include "control/wireguard/device.h"
#include "tests/unit/control/wireguard/fixture.h"

// Secrets are gone from memory when their time is over (W09, W35).
namespace meshgate::wireguard {
namespace {

constexpr PeerId kPeer = Bench::kPeer;
constexpr uint64_t kStart = kHour;

// Looks for 32 bytes in all memory this process can write. The pattern is kept masked, so that the
// search does not find itself.
constexpr uint8_t kMask = 0xa7;
using Masked = std::array<uint8_t, 32>;

Masked masked(std::span<const uint8_t, 32> bytes) {
    Masked result{};
    for (size_t n = 0; n < 32; ++n)
        result[n] = bytes[n] ^ kMask;
    return result;
}

#if defined(__has_feature)
#define MG_NO_SANITIZE __attribute__((no_sanitize("address", "thread", "memory")))
#else
#define MG_NO_SANITIZE __attribute__((no_sanitize_address, no_sanitize_thread))
#endif

MG_NO_SANITIZE bool is_at(const volatile uint8_t* memory, const Masked& pattern) {
    for (size_t n = 0; n < pattern.size(); ++n)
        if ((memory[n] ^ kMask) != pattern[n])
            return false;
    return true;
}

MG_NO_SANITIZE size_t nb_in_memory(const std::vector<Masked>& patterns) {
    constexpr uint64_t kLargest = 64 << 20;  // a sanitizer's shadow is larger
    std::ifstream maps{"/proc/self/maps"};
    std::array<bool, 256> starts{};
    for (const Masked& pattern : patterns)
        starts[pattern[0] ^ kMask] = true;
    size_t nb_found = 0;
    for (std::string line; std::getline(maps, line);) {
        std::istringstream words{line};
        uint64_t begin = 0, end = 0;
        char dash = 0;
        std::string rights;
        words >> std::hex >> begin >> dash >> end >> rights;
        if (!rights.starts_with("rw") || end - begin > kLargest)
            continue;
        for (uint64_t address = begin; address + 32 <= end; ++address) {
            const auto* memory = reinterpret_cast<const volatile uint8_t*>(address);
            if (!starts[*memory])
                continue;
            for (const Masked& pattern : patterns)
                nb_found += is_at(memory, pattern);
        }
    }
    return nb_found;
}

// Writes over what earlier calls left on the stack.
[[gnu::noinline]] void overwrite_stack() {
    std::array<volatile uint8_t, 65536> room{};
    for (volatile uint8_t& byte : room)
        byte = 1;
}

// A device whose random bytes and keys are recorded, masked.
struct Watched {
    Watched() {
        DeviceOptions options;
        options.fill_random = [this, random = seeded_random(9)](std::span<uint8_t> bytes) {
            random(bytes);
            if (bytes.size() == kKeyLen)
                secrets.push_back(masked(std::span<const uint8_t, 32>{bytes}));
        };
        DeviceOptions other;
        other.fill_random = seeded_random(10);
        bench = std::make_unique<Bench>(std::move(options), std::move(other));
    }
    void note_keys() {
        const InstallKeypair* installed = bench->a.last<InstallKeypair>();
        secrets.push_back(masked(installed->send_key.bytes()));
        secrets.push_back(masked(installed->receive_key.bytes()));
    }

    std::vector<Masked> secrets;
    std::unique_ptr<Bench> bench;
};

TEST(Secrets, TheMemoryScanFindsWhatIsThere) {
    auto key = std::make_unique<SecretKey>(secret(1234));
    const std::vector<Masked> patterns{masked(key->bytes())};
    EXPECT_GE(nb_in_memory(patterns), 1U);
    key.reset();
    overwrite_stack();
    EXPECT_EQ(nb_in_memory(patterns), 0U);
}

TEST(Secrets, W09_HandshakeSecretsAreGoneOnceKeysAreDerived) {
    Watched watched;
    watched.bench->a.device.on_no_session(kPeer, at(1));
    ASSERT_GE(watched.secrets.size(), 1U);  // the ephemeral key
    EXPECT_GE(nb_in_memory(watched.secrets), 1U);
    watched.bench->give(watched.bench->b, *watched.bench->a.take_message(), at(1));
    watched.bench->give(watched.bench->a, *watched.bench->b.take_message(), at(1));
    overwrite_stack();
    EXPECT_EQ(nb_in_memory(watched.secrets), 0U);
    // As the responder, too.
    watched.secrets.clear();
    watched.bench->b.device.clear_sessions(at(kMinute));
    watched.bench->handshake(watched.bench->b, watched.bench->a, at(kMinute));
    ASSERT_GE(watched.secrets.size(), 1U);
    overwrite_stack();
    EXPECT_EQ(nb_in_memory(watched.secrets), 0U);
    // The keys themselves left in the actions alone: what drained them holds the one copy per side.
    watched.secrets.clear();
    watched.note_keys();
    EXPECT_EQ(nb_in_memory(watched.secrets), 4U);
    watched.bench->a.actions.clear();
    watched.bench->b.actions.clear();
    overwrite_stack();
    EXPECT_EQ(nb_in_memory(watched.secrets), 0U);
}

TEST(Secrets, W35_AHalfDoneHandshakeIsGoneAfter540Seconds) {
    Watched watched;
    Bench::Side& side = watched.bench->a;
    watched.bench->handshake(side, watched.bench->b, at(kStart));
    watched.secrets.clear();
    side.device.on_no_session(kPeer, at(kStart + 200 * kNsPerSecond));
    const auto run_until = [&side](uint64_t end_ns) {
        while (side.device.next_deadline() <= end_ns)
            side.device.tick(at(side.device.next_deadline()));
        overwrite_stack();
    };
    run_until(kStart + 540 * kNsPerSecond - 1);
    EXPECT_EQ(side.count(HandshakeEvent::given_up), 1U);
    ASSERT_EQ(watched.secrets.size(), 20U);
    EXPECT_GE(nb_in_memory(watched.secrets), 1U);
    run_until(kStart + 540 * kNsPerSecond);
    EXPECT_EQ(nb_in_memory(watched.secrets), 0U);
}

// Without any session before it, the time counts from giving up.
TEST(Secrets, W35_AnAttemptThatNeverSucceededIsGoneToo) {
    Watched watched;
    Bench::Side& side = watched.bench->a;
    side.device.on_no_session(kPeer, at(kStart));
    uint64_t now_ns = kStart;
    while (side.device.next_deadline() != kNeverNs) {
        now_ns = side.device.next_deadline();
        side.device.tick(at(now_ns));
    }
    EXPECT_LE(now_ns, kStart + (107 + 540) * kNsPerSecond);
    overwrite_stack();
    EXPECT_EQ(nb_in_memory(watched.secrets), 0U);
}

TEST(Secrets, W35_AreGoneWhenThePeerGoesTheDeviceGoesDownOrSleeps) {
    for (const int way : {0, 1, 2}) {
        Watched watched;
        Bench::Side& side = watched.bench->a;
        watched.bench->handshake(side, watched.bench->b, at(kStart));
        side.actions.clear();
        watched.secrets.clear();
        const uint32_t current = side.peer().current_local_index;
        side.device.on_no_session(kPeer, at(kStart + kMinute));
        if (way == 0)
            side.device.remove_peer(kPeer, at(kStart + kMinute));
        if (way == 1)
            side.device.down(at(kStart + kMinute));
        if (way == 2)
            side.device.clear_sessions(at(kStart + kMinute));
        side.drain();
        ASSERT_EQ(side.nb<RemoveKeypair>(), 1U) << way;
        EXPECT_EQ(side.last<RemoveKeypair>()->local_index, current);
        ASSERT_EQ(watched.secrets.size(), 1U);
        overwrite_stack();
        EXPECT_EQ(nb_in_memory(watched.secrets), 0U) << way;
    }
}

}  // namespace
}  // namespace meshgate::wireguard
