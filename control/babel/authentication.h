// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "control/babel/tlv.h"

namespace meshgate::babel {

using FillRandom = std::function<void(std::span<uint8_t>)>;

enum class MacAlgorithm : uint8_t {
    hmac_sha256,  // 32 bytes
    blake2s,      // keyed, 16 bytes; keys of up to 32 bytes
};

// A key of one interface, shared by all routers on it. Wiped when it goes, never printed.
class MacKey {
public:
    static constexpr size_t kMaxLen = 64;  // of a key, bytes

    // `secret` must not be empty, nor longer than kMaxLen (BLAKE2s: 32).
    MacKey(MacAlgorithm algorithm, Bytes secret) noexcept;
    MacKey(MacKey&& other) noexcept;
    MacKey& operator=(MacKey&& other) noexcept;
    MacKey(const MacKey&) = delete;
    MacKey& operator=(const MacKey&) = delete;
    ~MacKey();

    MacAlgorithm algorithm() const noexcept { return algorithm_; }
    // 32 or 16 bytes.
    std::vector<uint8_t> mac(Bytes first, Bytes second) const;
    static bool usable(MacAlgorithm algorithm, size_t secret_len) noexcept;

private:
    MacAlgorithm algorithm_;
    uint8_t len_ = 0;
    std::array<uint8_t, kMaxLen> secret_{};
};

// Whose and whither: what the MAC covers besides the packet.
struct Flow {
    Endpoint source;
    Endpoint destination;
};

// RFC 8967 on one interface: every packet carries a counter and the MAC of each key; what arrives
// must verify under one of them and be newer than what the sender has sent before. A sender whose
// counter we do not know is challenged first. Counters of unicast and multicast packets are kept
// apart, as they overtake each other (RFC 9467).
class Authentication {
public:
    enum class Verdict : uint8_t {
        accepted,
        no_mac,
        bad_mac,
        no_counter,
        replayed,
        challenged,  // unknown counter: dropped, Outcome::challenge asks the sender to prove itself
    };
    struct Outcome {
        Verdict verdict = Verdict::bad_mac;
        // To be sent to the packet's source, by unicast.
        std::optional<ChallengeRequest> challenge;
        std::optional<ChallengeReply> reply;
    };

    Authentication(std::vector<MacKey> keys, FillRandom fill_random);

    bool enabled() const noexcept { return !keys_.empty(); }
    // What seal() adds to a packet.
    size_t overhead() const noexcept;
    // The PC TLV, to be the last of the body. The index changes when the counter is used up.
    PacketCounter next_counter();
    // Appends the trailer to a finished packet.
    void seal(std::vector<uint8_t>& packet, const Flow& flow) const;
    // Without keys everything is accepted.
    Outcome open(Bytes packet, const Flow& flow, Time now);
    // Forgets senders that have been silent for long.
    void sweep(Time now);

private:
    struct Sender {
        std::optional<std::vector<uint8_t>> index;
        std::array<uint32_t, 2> last_pc{};  // by unicast and multicast
        std::vector<uint8_t> nonce;         // of our challenge; empty: none waits
        Time nonce_expires{};
        Time next_challenge{};
        Time next_reply{};
        Time last_heard{};
    };
    struct Parsed;

    bool verify(Bytes packet, const Flow& flow, bool& has_mac) const;
    Sender* sender_of(const IpAddress& address, Time now);
    void challenge(Sender& sender, Outcome& outcome, Time now);

    std::vector<MacKey> keys_;
    FillRandom fill_random_;
    std::vector<uint8_t> index_;
    uint32_t pc_ = 0;
    std::map<IpAddress, Sender> senders_;  // only who has shown a valid MAC
};

}  // namespace meshgate::babel
