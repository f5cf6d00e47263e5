// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/protocol_numbers.h"

namespace meshgate::babel {

using Bytes = std::span<const uint8_t>;
using RouterId = std::array<uint8_t, 8>;

constexpr uint16_t kPort = kBabelPort;
constexpr uint16_t kInfinity = 0xffff;  // the metric and the cost of what is unreachable
constexpr size_t kHeaderLen = 4;
// Where multicast packets go: ff02::1:6.
IpAddress multicast_group() noexcept;

// a < b in the arithmetic of sequence numbers, modulo 2^16 (RFC 8966 section 3.2.1).
constexpr bool seqno_less(uint16_t a, uint16_t b) noexcept {
    return static_cast<int16_t>(static_cast<uint16_t>(b - a)) > 0;
}

// RFC 8966 section 4.6 and RFC 8967 section 6.
enum class TlvType : uint8_t {
    pad1 = 0,
    padn = 1,
    ack_request = 2,
    ack = 3,
    hello = 4,
    ihu = 5,
    router_id = 6,
    next_hop = 7,
    update = 8,
    route_request = 9,
    seqno_request = 10,
    mac = 16,
    pc = 17,
    challenge_request = 18,
    challenge_reply = 19,
};

// How an address is encoded (RFC 8966 section 4.1.4, RFC 9229 section 4).
enum class Ae : uint8_t { wildcard = 0, ipv4 = 1, ipv6 = 2, link_local = 3, ipv4_via_ipv6 = 4 };

// TLVs as they are after parsing, with the parser's state (router-id, next hop, default prefix)
// resolved. Intervals are centiseconds, timestamps microseconds of a clock of the sender's choice.

struct AckRequest {
    uint16_t nonce = 0;
    uint16_t interval_cs = 0;
    bool operator==(const AckRequest&) const = default;
};

struct Ack {
    uint16_t nonce = 0;
    bool operator==(const Ack&) const = default;
};

enum class HelloKind : uint8_t { multicast, unicast };

struct Hello {
    HelloKind kind = HelloKind::multicast;
    uint16_t seqno = 0;
    uint16_t interval_cs = 0;             // 0: unscheduled
    std::optional<uint32_t> transmit_us;  // RFC 9616
    bool operator==(const Hello&) const = default;
};

struct Ihu {
    struct Timestamps {
        uint32_t origin_us = 0;   // when the neighbour sent its last Hello, by its own clock
        uint32_t receive_us = 0;  // when that Hello arrived, by the clock of the IHU's sender
        bool operator==(const Timestamps&) const = default;
    };
    std::optional<IpAddress> address;  // none: whoever receives this is meant
    uint16_t rxcost = kInfinity;
    uint16_t interval_cs = 0;
    std::optional<Timestamps> timestamps;  // RFC 9616
    bool operator==(const Ihu&) const = default;
};

struct Update {
    std::optional<Prefix> prefix;  // none: every route of the sender (a retraction)
    uint16_t interval_cs = 0;
    uint16_t seqno = 0;
    uint16_t metric = kInfinity;
    std::optional<RouterId> router_id;  // needed unless it is a retraction, as is the next hop
    std::optional<IpAddress> next_hop;  // IPv6 with an IPv4 prefix: RFC 9229
    bool operator==(const Update&) const = default;
};

struct RouteRequest {
    std::optional<Prefix> prefix;  // none: all routes
    bool operator==(const RouteRequest&) const = default;
};

struct SeqnoRequest {
    Prefix prefix;
    uint16_t seqno = 0;
    uint8_t hop_count = 0;
    RouterId router_id{};
    bool operator==(const SeqnoRequest&) const = default;
};

// RFC 8967.
struct PacketCounter {
    uint32_t pc = 0;
    std::vector<uint8_t> index;  // up to 32 bytes
    bool operator==(const PacketCounter&) const = default;
};

struct ChallengeRequest {
    std::vector<uint8_t> nonce;  // up to 192 bytes
    bool operator==(const ChallengeRequest&) const = default;
};

struct ChallengeReply {
    std::vector<uint8_t> nonce;
    bool operator==(const ChallengeReply&) const = default;
};

using Tlv = std::variant<AckRequest, Ack, Hello, Ihu, Update, RouteRequest, SeqnoRequest,
                         PacketCounter, ChallengeRequest, ChallengeReply>;

struct Decoded {
    std::vector<Tlv> tlvs;
    unsigned nb_ignored = 0;  // malformed, unknown, or with an unknown mandatory sub-TLV
};

// The length of header and body, after which the trailer starts; empty when this is no Babel
// packet: another magic or version, or a body longer than the datagram.
std::optional<size_t> body_end(Bytes packet) noexcept;

// The TLVs of the body, in order. A TLV that cannot be understood is skipped; one that reaches over
// the end of the body ends the walk. `source` is the next hop unless the packet names another.
// Empty under the same conditions as body_end().
std::optional<Decoded> decode(Bytes packet, const IpAddress& source);

// Builds one packet, with Router-Id and Next Hop TLVs where they are needed and prefixes
// compressed. The encoding of a Tlv is decoded to an equal one.
class PacketWriter {
public:
    // `max_len` counts the header too.
    explicit PacketWriter(size_t max_len);

    // False when it does not fit: then nothing was added. `source`, the address the packet will be
    // sent from, need not be named as next hop.
    [[nodiscard]] bool add(const Tlv& tlv, const IpAddress& source);
    // For what the caller has kept room for.
    void add_last(const Tlv& tlv, const IpAddress& source);
    bool empty() const noexcept { return bytes_.size() == kHeaderLen; }
    // Header and body. The writer is empty afterwards.
    std::vector<uint8_t> finish();

private:
    void encode_update(std::vector<uint8_t>& to, const Update& update, const IpAddress& source);
    void reset();

    // What a receiver remembers at this point of the packet.
    struct State {
        std::optional<RouterId> router_id;
        std::optional<IpAddress> next_hop_v4;
        std::optional<IpAddress> next_hop_v6;
        std::array<std::optional<std::array<uint8_t, 16>>, 5> default_prefix;  // by Ae
    };
    size_t max_len_;
    State state_;
    std::vector<uint8_t> bytes_;
};

}  // namespace meshgate::babel
