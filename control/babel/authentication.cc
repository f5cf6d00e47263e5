// SPDX-License-Identifier: Apache-2.0
#include "control/babel/authentication.h"

#include <blake2.h>
#include <sodium.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace meshgate::babel {

namespace {

constexpr size_t kIndexLen = 8;
constexpr size_t kNonceLen = 10;
constexpr size_t kHmacLen = crypto_auth_hmacsha256_BYTES;
constexpr size_t kBlake2sLen = 16;
constexpr size_t kMaxSenders = 256;  // addresses that an authenticated interface remembers
// How long the answer to a challenge counts.
constexpr auto kChallengeLife = std::chrono::seconds{30};
// Between challenges, and between answers to one sender.
constexpr auto kChallengeInterval = std::chrono::milliseconds{300};
// After which a silent sender is forgotten and challenged again.
constexpr auto kSenderLife = std::chrono::minutes{5};

size_t mac_len(MacAlgorithm algorithm) noexcept {
    return algorithm == MacAlgorithm::hmac_sha256 ? kHmacLen : kBlake2sLen;
}

void put_address(std::vector<uint8_t>& to, const IpAddress& address) {
    std::array<uint8_t, 16> bytes = address.bytes;
    if (address.is_v4()) {
        bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        std::copy_n(address.bytes.begin(), 4, bytes.begin() + 12);
    }
    to.insert(to.end(), bytes.begin(), bytes.end());
}

// RFC 8967 section 4.1: addresses and ports of the datagram, 36 bytes.
std::vector<uint8_t> pseudo_header(const Flow& flow) {
    std::vector<uint8_t> bytes;
    for (const Endpoint* end : {&flow.source, &flow.destination}) {
        put_address(bytes, end->address);
        bytes.push_back(static_cast<uint8_t>(end->port >> 8));
        bytes.push_back(static_cast<uint8_t>(end->port));
    }
    return bytes;
}

}  // namespace

bool MacKey::usable(MacAlgorithm algorithm, size_t secret_len) noexcept {
    return secret_len > 0 && secret_len <= (algorithm == MacAlgorithm::blake2s ? 32 : kMaxLen);
}

MacKey::MacKey(MacAlgorithm algorithm, Bytes secret) noexcept
    : algorithm_{algorithm}, len_{static_cast<uint8_t>(secret.size())} {
    MG_ASSERT(usable(algorithm, secret.size()));
    std::copy(secret.begin(), secret.end(), secret_.begin());
}

MacKey::MacKey(MacKey&& other) noexcept
    : algorithm_{other.algorithm_}, len_{other.len_}, secret_{other.secret_} {
    sodium_memzero(other.secret_.data(), other.secret_.size());
}

MacKey& MacKey::operator=(MacKey&& other) noexcept {
    if (this != &other) {
        algorithm_ = other.algorithm_;
        len_ = other.len_;
        secret_ = other.secret_;
        sodium_memzero(other.secret_.data(), other.secret_.size());
    }
    return *this;
}

MacKey::~MacKey() {
    sodium_memzero(secret_.data(), secret_.size());
}

std::vector<uint8_t> MacKey::mac(Bytes first, Bytes second) const {
    std::vector<uint8_t> result(mac_len(algorithm_));
    if (algorithm_ == MacAlgorithm::hmac_sha256) {
        crypto_auth_hmacsha256_state state;
        crypto_auth_hmacsha256_init(&state, secret_.data(), len_);
        crypto_auth_hmacsha256_update(&state, first.data(), first.size());
        crypto_auth_hmacsha256_update(&state, second.data(), second.size());
        crypto_auth_hmacsha256_final(&state, result.data());
        sodium_memzero(&state, sizeof(state));
        return result;
    }
    blake2s_state state;
    MG_ASSERT(blake2s_init_key(&state, result.size(), secret_.data(), len_) == 0);
    blake2s_update(&state, first.data(), first.size());
    blake2s_update(&state, second.data(), second.size());
    blake2s_final(&state, result.data(), result.size());
    sodium_memzero(&state, sizeof(state));
    return result;
}

Authentication::Authentication(std::vector<MacKey> keys, FillRandom fill_random)
    : keys_{std::move(keys)}, fill_random_{std::move(fill_random)}, index_(kIndexLen) {
    fill_random_(index_);
}

size_t Authentication::overhead() const noexcept {
    if (!enabled())
        return 0;
    size_t len = 2 + 4 + kIndexLen;
    for (const MacKey& key : keys_)
        len += 2 + mac_len(key.algorithm());
    return len;
}

PacketCounter Authentication::next_counter() {
    if (++pc_ == 0)
        fill_random_(index_);
    return {.pc = pc_, .index = index_};
}

void Authentication::seal(std::vector<uint8_t>& packet, const Flow& flow) const {
    const std::vector<uint8_t> header = pseudo_header(flow);
    const std::vector<uint8_t> covered = packet;
    for (const MacKey& key : keys_) {
        const std::vector<uint8_t> mac = key.mac(header, covered);
        packet.push_back(static_cast<uint8_t>(TlvType::mac));
        packet.push_back(static_cast<uint8_t>(mac.size()));
        packet.insert(packet.end(), mac.begin(), mac.end());
    }
}

// Any MAC of the trailer under any key will do: keys are changed by having two for a while.
bool Authentication::verify(Bytes packet, const Flow& flow, bool& has_mac) const {
    const size_t end = body_end(packet).value_or(packet.size());
    std::vector<std::vector<uint8_t>> expected;
    Bytes trailer = packet.subspan(end);
    while (!trailer.empty()) {
        if (trailer[0] == static_cast<uint8_t>(TlvType::pad1)) {
            trailer = trailer.subspan(1);
            continue;
        }
        if (trailer.size() < 2 || trailer.size() < size_t{2} + trailer[1])
            return false;
        const Bytes value = trailer.subspan(2, trailer[1]);
        if (trailer[0] == static_cast<uint8_t>(TlvType::mac)) {
            has_mac = true;
            if (expected.empty()) {  // computed once per packet, however many MACs it carries
                const std::vector<uint8_t> header = pseudo_header(flow);
                for (const MacKey& key : keys_)
                    expected.push_back(key.mac(header, packet.first(end)));
            }
            for (const auto& mac : expected) {
                if (mac.size() == value.size() &&
                    sodium_memcmp(mac.data(), value.data(), mac.size()) == 0)
                    return true;
            }
        }
        trailer = trailer.subspan(size_t{2} + value.size());
    }
    return false;
}

Authentication::Sender* Authentication::sender_of(const IpAddress& address, Time now) {
    const auto found = senders_.find(address);
    if (found == senders_.end() && senders_.size() >= kMaxSenders)
        return nullptr;
    Sender& sender = senders_[address];
    sender.last_heard = now;
    return &sender;
}

void Authentication::challenge(Sender& sender, Outcome& outcome, Time now) {
    outcome.verdict = Verdict::challenged;
    if (now < sender.next_challenge)
        return;
    sender.next_challenge = now + kChallengeInterval;
    sender.nonce.resize(kNonceLen);
    fill_random_(sender.nonce);
    sender.nonce_expires = now + kChallengeLife;
    outcome.challenge = ChallengeRequest{sender.nonce};
}

struct Authentication::Parsed {
    const PacketCounter* counter = nullptr;
    const ChallengeRequest* request = nullptr;
    bool answers_our_challenge = false;
};

Authentication::Outcome Authentication::open(Bytes packet, const Flow& flow, Time now) {
    Outcome outcome{Verdict::accepted, {}, {}};
    if (!enabled())
        return outcome;
    bool has_mac = false;
    if (!verify(packet, flow, has_mac)) {
        outcome.verdict = has_mac ? Verdict::bad_mac : Verdict::no_mac;
        return outcome;
    }
    Sender* sender = sender_of(flow.source.address, now);
    const auto decoded = decode(packet, flow.source.address);
    if (sender == nullptr || !decoded) {
        outcome.verdict = Verdict::bad_mac;
        return outcome;
    }
    Parsed parsed;
    for (const Tlv& tlv : decoded->tlvs) {
        if (const auto* counter = std::get_if<PacketCounter>(&tlv); counter && !parsed.counter)
            parsed.counter = counter;
        if (const auto* request = std::get_if<ChallengeRequest>(&tlv))
            parsed.request = request;
        if (const auto* reply = std::get_if<ChallengeReply>(&tlv))
            parsed.answers_our_challenge |= !sender->nonce.empty() && now < sender->nonce_expires &&
                                            reply->nonce == sender->nonce;
    }
    // Answered whatever the counter says, or two routers that know nothing of each other would wait
    // for ever (section 4.3.1.1).
    if (parsed.request != nullptr && now >= sender->next_reply) {
        sender->next_reply = now + kChallengeInterval;
        outcome.reply = ChallengeReply{parsed.request->nonce};
    }
    if (parsed.counter == nullptr) {
        outcome.verdict = Verdict::no_counter;
        return outcome;
    }
    uint32_t& last_pc = sender->last_pc[flow.destination.address.is_multicast() ? 1 : 0];
    if (parsed.answers_our_challenge) {
        sender->index = parsed.counter->index;
        sender->last_pc.fill(parsed.counter->pc);  // both kinds: what was sent before is old
        sender->nonce.clear();
        return outcome;
    }
    if (!sender->index || *sender->index != parsed.counter->index) {
        challenge(*sender, outcome, now);
        return outcome;
    }
    if (parsed.counter->pc <= last_pc) {
        outcome.verdict = Verdict::replayed;
        return outcome;
    }
    last_pc = parsed.counter->pc;
    return outcome;
}

void Authentication::sweep(Time now) {
    std::erase_if(senders_,
                  [now](const auto& entry) { return entry.second.last_heard + kSenderLife < now; });
}

}  // namespace meshgate::babel
