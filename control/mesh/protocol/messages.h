// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/keys.h"
#include "base/protocol_numbers.h"

namespace meshgate::mesh {

// Mesh control messages: CBOR maps over UDP, inside a WireGuard session, from node address to node
// address. Key 0 is the version of the encoding, key 1 the type, the others are the fields in the
// order in which they stand here. Keys and types that we do not know are passed over, so that a
// later version may add some; what changes the meaning of a field gets another version number.
//
// Who sends what to whom, how often, and how large it is: docs/architecture.md.
constexpr uint8_t kEncodingVersion = 1;
constexpr size_t kMaxMessageLen = 1200;  // with IPv6 and UDP within 1280 bytes
constexpr size_t kMaxPaddedLen = 8952;   // with them 9000 bytes, the largest MTU of a port

// Of the network file with its signature in front.
constexpr size_t kSignatureLen = 64;
// Network file with its signature.
constexpr size_t kMaxFileLen = kSignatureLen + size_t{4} * 1024 * 1024;
constexpr size_t kPieceLen = 1024;
constexpr uint16_t kMaxPiecesPerRequest = 64;  // a request for more is malformed

constexpr size_t kMaxCandidates = 16;                // endpoints in one message
constexpr size_t kMaxClientEntries = 15;             // clients in one message
constexpr size_t kMaxHandshakeLen = kInitiationLen;  // the longest WireGuard handshake message
constexpr uint8_t kMaxHandshakeHops = 16;  // relays that pass a handshake on before it dies

// On a new link or session, when it changes, and every 10 s. 0: no network file yet.
struct State {
    uint64_t network_version = 0;

    bool operator==(const State&) const = default;
};

// Asks for pieces of kPieceLen each. `offset` is a multiple of that.
struct FileRequest {
    uint64_t version = 0;
    uint32_t offset = 0;
    uint16_t nb_pieces = 0;

    bool operator==(const FileRequest&) const = default;
};

struct FilePiece {
    uint64_t version = 0;
    uint32_t total_len = 0;
    uint32_t offset = 0;
    std::vector<uint8_t> bytes;  // kPieceLen, or what is left of total_len

    bool operator==(const FilePiece&) const = default;
};

// "Forward datagrams with this receiver index to `target`." Also the refresh.
struct RelayOpen {
    uint32_t request = 0;
    uint32_t index = 0;
    IpAddress target;  // node address

    bool operator==(const RelayOpen&) const = default;
};

enum class RelayAnswer : uint8_t {
    accepted,
    refused_index_taken,  // by another session: handshake anew, for another index
    refused_not_member,   // the target is not in the network file
    refused_cap,          // too many entries of this member
    refused_no_way,       // no way to the target, or only over the one who asks
    refused_not_relay,    // this box relays for nobody, or not any more
    nb_answers,
};

struct RelayReply {
    uint32_t request = 0;
    uint32_t index = 0;
    RelayAnswer answer = RelayAnswer::accepted;

    bool operator==(const RelayReply&) const = default;
};

// From who asked for it: not needed any more. From who forwards: cannot be kept up, ask again.
struct RelayClose {
    uint32_t index = 0;

    bool operator==(const RelayClose&) const = default;
};

// A WireGuard handshake message (type 1, 2 or 3) between members without a link, hop by hop.
struct Handshake {
    IpAddress from;  // node addresses
    IpAddress to;
    uint8_t hops_left = 0;  // 0..kMaxHandshakeHops
    std::vector<uint8_t> bytes;

    bool operator==(const Handshake&) const = default;
};

// "By the link that this comes by, you reach us from this endpoint."
struct Seen {
    Endpoint endpoint;

    bool operator==(const Seen&) const = default;
};

// "Here we may be reached."
struct Candidates {
    std::vector<Endpoint> endpoints;
    bool answer = false;  // tell us yours

    bool operator==(const Candidates&) const = default;
};

// End to end, by the path in use; padded, to find out what size gets through.
struct Probe {
    uint32_t id = 0;

    bool operator==(const Probe&) const = default;
};
struct ProbeReply {
    uint32_t id = 0;

    bool operator==(const ProbeReply&) const = default;
};

// Which client is at which box. Each box speaks for itself, others pass it on.
struct ClientAt {
    struct Entry {
        PublicKey key;
        IpAddress box;                        // node address
        std::array<uint8_t, 12> timestamp{};  // TAI64N of the client's last handshake there
        uint32_t refresh = 0;                 // grows while the timestamp stays
        uint16_t age_s = 0;                   // since the box said so
        bool gone = false;

        bool operator==(const Entry&) const = default;
    };
    std::vector<Entry> entries;

    bool operator==(const ClientAt&) const = default;
};

// The type number is the position, from 1. Only append.
using Message = std::variant<State, FileRequest, FilePiece, RelayOpen, RelayReply, RelayClose,
                             Handshake, Seen, Candidates, Probe, ProbeReply, ClientAt>;

// What a part of the mesh wants sent, as a datagram from our node address to `to`'s, by the path of
// the peer that has this node address. `to` is always a member.
struct Outgoing {
    IpAddress to;
    Message message;

    bool operator==(const Outgoing&) const = default;
};

// Why bytes are no message; the name is the metric label.
enum class Undecodable : uint8_t { malformed, other_version, unknown_type };
const char* to_string(Undecodable reason) noexcept;

// Of a message within the limits above; a message beyond them is a bug.
std::vector<uint8_t> encode(const Message& message);
// The probe in `len` bytes, at most kMaxPaddedLen: with a key that nobody reads.
std::vector<uint8_t> encode_padded(const Probe& probe, size_t len);
// Reads what is exactly one message: all fields there and in range, each number in its shortest
// form, no key twice, nothing behind. Endpoints that no datagram could be for (unspecified,
// loopback, multicast, link-local, IPv4-mapped) are malformed, and so are node addresses outside
// fd00::/8 and handshake messages with a length other than their type's.
tl::expected<Message, Undecodable> decode(std::span<const uint8_t> bytes);

// Where a datagram of ours may be told to go by another box.
bool is_plausible(const Endpoint& endpoint) noexcept;

const char* name_of(const Message& message) noexcept;
const char* to_string(RelayAnswer answer) noexcept;

}  // namespace meshgate::mesh
