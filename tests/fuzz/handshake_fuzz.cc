// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "control/wireguard/cookie.h"
#include "control/wireguard/device.h"
#include "control/wireguard/noise.h"

// Input: records of one byte of length, one of flags, then bytes. The flags say what becomes of the
// bytes before the device gets them, so that a fuzzer reaches behind mac1 and behind the AEAD:
//   0x01  mac1 is made right (any length that has one)
//   0x02  512 messages wait: under load
//   0x04  a genuine initiation of the peer, with the bytes as its timestamp
//   0x08  a genuine response of the peer to our last initiation, the bytes laid over its nonce
//   0x10  a packet waits for a session
//   0x20  the bytes are what the packet path reports, in eight-byte numbers
//   0x40  the last keypair is confirmed
//   0x80  time passes: 10 s, else 10 ms
namespace {

using namespace meshgate;
using namespace meshgate::wireguard;

constexpr PeerId kPeer = 3;

SecretKey key_of(uint8_t fill) {
    SecretKey key;
    std::fill(key.mutable_bytes().begin(), key.mutable_bytes().end(), fill);
    return key;
}

class Harness {
public:
    Harness() : device_{options()} {
        own_.private_key = key_of(2);
        own_.public_key = public_key_of(own_.private_key);
        remote_.public_key = public_key_of(key_of(1));
        if (!precompute(remote_, own_))
            std::abort();
        device_.set_private_key(key_of(1), now());
        PeerOptions peer;
        peer.public_key = own_.public_key;
        peer.endpoint = *parse_endpoint("192.0.2.2:51820");
        device_.add_peer(kPeer, std::move(peer), now());
        device_.up(now());
    }

    void record(uint8_t flags, std::span<const uint8_t> bytes) {
        mono_ns_ += (flags & 0x80) != 0 ? 10 * kNsPerSecond : 10 * kNsPerMs;
        device_.tick(now());
        if ((flags & 0x10) != 0)
            device_.on_no_session(kPeer, now());
        if ((flags & 0x20) != 0)
            report(bytes);
        if ((flags & 0x40) != 0)
            device_.on_confirmed(last_local_index_, now());
        drain(SIZE_MAX);
        std::vector<uint8_t> datagram = datagram_of(flags, bytes);
        device_.receive(datagram, from_, (flags & 0x02) != 0 ? 512 : 0, now());
        drain(datagram.size());
        if (device_.peer_view(kPeer)->initiations_of_attempt > kMaxInitiations)
            std::abort();
    }

private:
    static DeviceOptions options() {
        DeviceOptions options;
        options.fill_random = [state = uint64_t{1}](std::span<uint8_t> bytes) mutable {
            for (uint8_t& byte : bytes) {
                state = state * 6364136223846793005 + 1442695040888963407;
                byte = static_cast<uint8_t>(state >> 56);
            }
        };
        return options;
    }
    Now now() const { return Now::at(mono_ns_, 1'700'000'000 * kNsPerSecond + mono_ns_); }

    std::vector<uint8_t> datagram_of(uint8_t flags, std::span<const uint8_t> bytes) {
        if ((flags & 0x04) != 0)
            return genuine_initiation(bytes);
        if ((flags & 0x08) != 0 && last_initiation_)
            return genuine_response(bytes);
        std::vector<uint8_t> datagram{bytes.begin(), bytes.end()};
        if ((flags & 0x01) != 0 && datagram.size() >= kMacsLen)
            jar_.stamp(datagram, mono_ns_);
        return datagram;
    }

    std::vector<uint8_t> genuine_initiation(std::span<const uint8_t> bytes) {
        Timestamp timestamp;
        std::copy_n(bytes.begin(), std::min(bytes.size(), timestamp.bytes.size()),
                    timestamp.bytes.begin());
        InitiationMessage message;
        SentInitiation sent;
        if (!create_initiation(message, sent, own_, remote_, key_of(7), timestamp, 0x1000))
            std::abort();
        jar_.stamp(bytes_of(message), mono_ns_);
        const auto view = bytes_of(message);
        return {view.begin(), view.end()};
    }

    std::vector<uint8_t> genuine_response(std::span<const uint8_t> bytes) {
        ReceivedInitiation received;
        ResponseMessage message{};
        TransportKeys keys;
        if (!open_static(received, *last_initiation_, own_) ||
            !open_timestamp(received, *last_initiation_, remote_) ||
            !create_response(message, keys, received, remote_, key_of(9), 0x2000))
            std::abort();
        for (size_t n = 0; n < std::min(bytes.size(), message.encrypted_nothing.size()); ++n)
            message.encrypted_nothing[n] ^= bytes[n];
        jar_.stamp(bytes_of(message), mono_ns_);
        const auto view = bytes_of(message);
        return {view.begin(), view.end()};
    }

    void report(std::span<const uint8_t> bytes) {
        std::array<uint64_t, 5> numbers{};
        std::memcpy(numbers.data(), bytes.data(), std::min(bytes.size(), sizeof(numbers)));
        // Times of the past, as the packet path has them.
        for (size_t n = 0; n < 4; ++n)
            numbers[n] = std::min(numbers[n], mono_ns_);
        device_.on_activity(kPeer, {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]},
                            now());
    }

    // Nothing that goes out in answer may be larger than what came in, and little is done at all.
    void drain(size_t request_len) {
        std::vector<Action> actions;
        device_.drain(actions);
        if (actions.size() > 16)
            std::abort();
        for (const Action& action : actions) {
            if (const auto* install = std::get_if<InstallKeypair>(&action))
                last_local_index_ = install->local_index;
            const auto* sent = std::get_if<SendMessage>(&action);
            if (sent == nullptr)
                continue;
            if (sent->message.len > request_len)
                std::abort();
            if (sent->message.bytes[0] == 1)
                last_initiation_ = message_from<InitiationMessage>(sent->message.view());
            if (sent->message.bytes[0] == 3)  // a stranger's cookie, to come back under load
                jar_.consume(message_from<CookieReplyMessage>(sent->message.view()), mono_ns_);
        }
    }

    Device device_;
    Identity own_;
    RemoteIdentity remote_;
    CookieJar jar_{public_key_of(key_of(1))};
    Addressing from_{*parse_endpoint("192.0.2.9:1000"), *parse_endpoint("192.0.2.1:51820"), 0};
    uint64_t mono_ns_ = 1000 * kNsPerSecond;
    uint32_t last_local_index_ = 0;
    std::optional<InitiationMessage> last_initiation_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Harness harness;
    std::span<const uint8_t> rest{data, size};
    while (rest.size() >= 2) {
        const size_t len = std::min<size_t>(rest[0], rest.size() - 2);
        harness.record(rest[1], rest.subspan(2, len));
        rest = rest.subspan(2 + len);
    }
    return 0;
}
