// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/protocol/messages.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/assert.h"
#include "base/names.h"
#include "control/mesh/protocol/cbor.h"

namespace meshgate::mesh {

namespace {

using Bytes = std::span<const uint8_t>;

constexpr uint64_t kVersionKey = 0;
constexpr uint64_t kTypeKey = 1;
constexpr uint64_t kFirstFieldKey = 2;
constexpr size_t kMaxFields = 8;      // of one message
constexpr uint64_t kPaddingKey = 23;  // the last of one byte: fields never get there
static_assert(kPaddingKey >= kFirstFieldKey + kMaxFields);

// ---- one value: write, read ----

// Of an enumeration, its number must be below its last enumerator; of an integer, within its type.
template <typename T>
constexpr uint64_t kLargest = std::numeric_limits<T>::max();
template <>
constexpr uint64_t kLargest<RelayAnswer> = static_cast<uint64_t>(RelayAnswer::nb_answers) - 1;

template <typename T>
concept Number = std::is_unsigned_v<T> || std::is_enum_v<T>;

template <Number T>
void write(CborWriter& out, T value) {
    MG_ASSERT(static_cast<uint64_t>(value) <= kLargest<T>);
    out.integer(static_cast<uint64_t>(value));
}
void write(CborWriter& out, bool value) {
    out.boolean(value);
}
void write(CborWriter& out, const IpAddress& address) {
    out.bytes(Bytes{address.bytes}.first(address.bits() / 8U));
}
void write(CborWriter& out, const Endpoint& endpoint) {
    out.array(2);
    write(out, endpoint.address);
    write(out, endpoint.port);
}
void write(CborWriter& out, const std::vector<uint8_t>& bytes) {
    out.bytes(bytes);
}
template <size_t N>
void write(CborWriter& out, const std::array<uint8_t, N>& bytes) {
    out.bytes(bytes);
}
void write(CborWriter& out, const std::vector<Endpoint>& endpoints) {
    out.array(endpoints.size());
    for (const Endpoint& endpoint : endpoints)
        write(out, endpoint);
}
void write(CborWriter& out, const ClientAt::Entry& entry) {
    out.array(6);
    write(out, entry.key.bytes);
    write(out, entry.box);
    write(out, entry.timestamp);
    write(out, entry.refresh);
    write(out, entry.age_s);
    write(out, entry.gone);
}
void write(CborWriter& out, const std::vector<ClientAt::Entry>& entries) {
    out.array(entries.size());
    for (const ClientAt::Entry& entry : entries)
        write(out, entry);
}

template <Number T>
bool read(CborReader& in, T& value) {
    const auto number = in.integer();
    if (!number || *number > kLargest<T>)
        return false;
    value = static_cast<T>(*number);
    return true;
}
bool read(CborReader& in, bool& value) {
    const auto found = in.boolean();
    value = found.value_or(false);
    return found.has_value();
}
bool read(CborReader& in, IpAddress& address) {
    const auto bytes = in.bytes();
    if (!bytes || (bytes->size() != 4 && bytes->size() != 16))
        return false;
    address.family = bytes->size() == 4 ? Family::ipv4 : Family::ipv6;
    address.bytes = {};
    std::copy(bytes->begin(), bytes->end(), address.bytes.begin());
    return true;
}
bool read(CborReader& in, Endpoint& endpoint) {
    return in.array() == 2U && read(in, endpoint.address) && read(in, endpoint.port) &&
           is_plausible(endpoint);
}
bool read(CborReader& in, std::vector<uint8_t>& bytes) {
    const auto found = in.bytes();
    if (!found)
        return false;
    bytes.assign(found->begin(), found->end());
    return true;
}
template <size_t N>
bool read(CborReader& in, std::array<uint8_t, N>& bytes) {
    const auto found = in.bytes();
    if (!found || found->size() != N)
        return false;
    std::copy(found->begin(), found->end(), bytes.begin());
    return true;
}
bool read(CborReader& in, ClientAt::Entry& entry) {
    return in.array() == 6U && read(in, entry.key.bytes) && read(in, entry.box) &&
           read(in, entry.timestamp) && read(in, entry.refresh) && read(in, entry.age_s) &&
           read(in, entry.gone);
}
template <typename T>
bool read_list(CborReader& in, std::vector<T>& list, size_t max_items) {
    const auto nb_items = in.array();
    if (!nb_items || *nb_items > max_items)
        return false;
    list.resize(*nb_items);
    return std::all_of(list.begin(), list.end(), [&in](T& item) { return read(in, item); });
}
bool read(CborReader& in, std::vector<Endpoint>& endpoints) {
    return read_list(in, endpoints, kMaxCandidates);
}
bool read(CborReader& in, std::vector<ClientAt::Entry>& entries) {
    return read_list(in, entries, kMaxClientEntries);
}

// ---- the fields of each message, in the order of their keys ----

template <typename M, typename F>
auto with_fields(M& message, F&& visit) {
    using T = std::remove_const_t<M>;
    if constexpr (std::is_same_v<T, State>) {
        return visit(message.network_version);
    } else if constexpr (std::is_same_v<T, FileRequest>) {
        return visit(message.version, message.offset, message.nb_pieces);
    } else if constexpr (std::is_same_v<T, FilePiece>) {
        return visit(message.version, message.total_len, message.offset, message.bytes);
    } else if constexpr (std::is_same_v<T, RelayOpen>) {
        return visit(message.request, message.index, message.target);
    } else if constexpr (std::is_same_v<T, RelayReply>) {
        return visit(message.request, message.index, message.answer);
    } else if constexpr (std::is_same_v<T, RelayClose>) {
        return visit(message.index);
    } else if constexpr (std::is_same_v<T, Handshake>) {
        return visit(message.from, message.to, message.hops_left, message.bytes);
    } else if constexpr (std::is_same_v<T, Seen>) {
        return visit(message.endpoint);
    } else if constexpr (std::is_same_v<T, Candidates>) {
        return visit(message.endpoints, message.answer);
    } else if constexpr (std::is_same_v<T, ClientAt>) {
        return visit(message.entries);
    } else {
        static_assert(std::is_same_v<T, Probe> || std::is_same_v<T, ProbeReply>);
        return visit(message.id);
    }
}

// ---- what no type can say ----

bool is_node_address(const IpAddress& address) noexcept {
    return address.is_v6() && address.bytes[0] == 0xfd;
}

// Types 1, 2, 3 and their lengths (WireGuard paper, section 5.4).
bool is_handshake(Bytes bytes) noexcept {
    if (bytes.size() < 4 || (bytes[1] | bytes[2] | bytes[3]) != 0)
        return false;
    constexpr std::array<size_t, 4> kLengths{0, kInitiationLen, kResponseLen, kCookieReplyLen};
    return bytes[0] >= 1 && bytes[0] < kLengths.size() && bytes.size() == kLengths[bytes[0]];
}

template <typename M>
bool in_range(const M& /*message*/) noexcept {
    return true;
}
bool in_range(const FileRequest& request) noexcept {
    return request.offset % kPieceLen == 0 && request.offset < kMaxFileLen &&
           request.nb_pieces >= 1 && request.nb_pieces <= kMaxPiecesPerRequest;
}
bool in_range(const FilePiece& piece) noexcept {
    return piece.total_len > kSignatureLen && piece.total_len <= kMaxFileLen &&
           piece.offset % kPieceLen == 0 && piece.offset < piece.total_len &&
           piece.bytes.size() == std::min<size_t>(kPieceLen, piece.total_len - piece.offset);
}
bool in_range(const RelayOpen& open) noexcept {
    return is_node_address(open.target);
}
bool in_range(const Handshake& handshake) noexcept {
    return is_node_address(handshake.from) && is_node_address(handshake.to) &&
           handshake.hops_left <= kMaxHandshakeHops && is_handshake(handshake.bytes);
}
bool in_range(const Seen& seen) noexcept {
    return is_plausible(seen.endpoint);
}
bool in_range(const Candidates& candidates) noexcept {
    return candidates.endpoints.size() <= kMaxCandidates &&
           std::all_of(candidates.endpoints.begin(), candidates.endpoints.end(), is_plausible);
}
bool in_range(const ClientAt& clients) noexcept {
    return clients.entries.size() <= kMaxClientEntries &&
           std::all_of(clients.entries.begin(), clients.entries.end(),
                       [](const ClientAt::Entry& entry) { return is_node_address(entry.box); });
}

// ---- the map around them ----

// Where the value of each key stands.
struct Found {
    std::array<Bytes, kFirstFieldKey + kMaxFields> value_of;
};

std::optional<Found> find_values(Bytes bytes) noexcept {
    CborReader in{bytes};
    const auto nb_pairs = in.map();
    if (!nb_pairs)
        return std::nullopt;
    Found found;
    std::optional<uint64_t> last_key;
    for (size_t i = 0; i < *nb_pairs; ++i) {
        const auto key = in.integer();
        if (!key || (last_key && *key <= *last_key))
            return std::nullopt;
        last_key = key;
        const auto value = in.item();
        if (!value)
            return std::nullopt;
        if (*key < found.value_of.size())
            found.value_of[*key] = *value;
    }
    if (!in.at_end())
        return std::nullopt;
    return found;
}

template <typename M>
std::optional<Message> read_message(const Found& found) {
    M message;
    const bool read_all = with_fields(message, [&found](auto&... field) {
        const auto* value = &found.value_of[kFirstFieldKey];
        const auto one = [&value](auto& target) {
            CborReader in{*value++};
            return read(in, target);
        };
        return (one(field) && ...);
    });
    if (!read_all || !in_range(message))
        return std::nullopt;
    return message;
}

// Reader of each type, by position in Message.
template <size_t... I>
constexpr auto make_readers(std::index_sequence<I...> /*positions*/) {
    return std::array{&read_message<std::variant_alternative_t<I, Message>>...};
}
constexpr auto kReaders = make_readers(std::make_index_sequence<std::variant_size_v<Message>>{});

}  // namespace

std::vector<uint8_t> encode(const Message& message) {
    CborWriter out;
    std::visit(
        [&](const auto& content) {
            MG_ASSERT(in_range(content));
            with_fields(content, [&](const auto&... field) {
                static_assert(sizeof...(field) <= kMaxFields);
                out.map(kFirstFieldKey + sizeof...(field));
                out.integer(kVersionKey);
                out.integer(kEncodingVersion);
                out.integer(kTypeKey);
                out.integer(message.index() + 1);
                uint64_t key = kFirstFieldKey;
                const auto one = [&](const auto& value) {
                    out.integer(key++);
                    write(out, value);
                };
                (one(field), ...);
            });
        },
        message);
    auto bytes = out.take();
    MG_ASSERT(bytes.size() <= kMaxMessageLen);
    return bytes;
}

std::vector<uint8_t> encode_padded(const Probe& probe, size_t len) {
    CborWriter out;
    out.map(4);
    out.integer(kVersionKey);
    out.integer(kEncodingVersion);
    out.integer(kTypeKey);
    out.integer(Message{probe}.index() + 1);
    out.integer(kFirstFieldKey);
    out.integer(probe.id);
    out.integer(kPaddingKey);
    auto bytes = out.take();
    constexpr size_t kHeadLen = 3;  // of 256 to 65535 bytes
    MG_ASSERT(len <= kMaxPaddedLen && len >= bytes.size() + kHeadLen + 256);
    CborWriter padding;
    padding.bytes(std::vector<uint8_t>(len - bytes.size() - kHeadLen));
    const auto tail = padding.take();
    bytes.insert(bytes.end(), tail.begin(), tail.end());
    return bytes;
}

tl::expected<Message, Undecodable> decode(Bytes bytes) {
    const auto malformed = tl::unexpected{Undecodable::malformed};
    if (bytes.size() > kMaxPaddedLen)
        return malformed;
    const auto found = find_values(bytes);
    if (!found)
        return malformed;
    const auto version = CborReader{found->value_of[kVersionKey]}.integer();
    const auto type = CborReader{found->value_of[kTypeKey]}.integer();
    if (!version)
        return malformed;
    if (*version != kEncodingVersion)
        return tl::unexpected{Undecodable::other_version};
    if (!type)
        return malformed;
    if (*type == 0 || *type > kReaders.size())
        return tl::unexpected{Undecodable::unknown_type};
    auto message = kReaders[static_cast<size_t>(*type) - 1](*found);
    if (!message)
        return malformed;
    return std::move(*message);
}

bool is_plausible(const Endpoint& endpoint) noexcept {
    const IpAddress& address = endpoint.address;
    constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const bool mapped =
        address.is_v6() && std::equal(kMapped.begin(), kMapped.end(), address.bytes.begin());
    const bool reserved = address.is_v4() && (address.bytes[0] == 0 || address.bytes[0] >= 240);
    return address.family != Family::none && endpoint.port != 0 && !address.is_unspecified() &&
           !address.is_loopback() && !address.is_multicast() && !address.is_link_local() &&
           !mapped && !reserved;
}

const char* name_of(const Message& message) noexcept {
    constexpr auto kNames = names_of<std::variant_size_v<Message>>(
        {"state", "file_request", "file_piece", "relay_open", "relay_reply", "relay_close",
         "handshake", "seen", "candidates", "probe", "probe_reply", "client_at"});
    return kNames[message.index()];
}

const char* to_string(Undecodable reason) noexcept {
    switch (reason) {
        case Undecodable::malformed:
            return "malformed";
        case Undecodable::other_version:
            return "other_version";
        case Undecodable::unknown_type:
            return "unknown_type";
    }
    return "?";
}

const char* to_string(RelayAnswer answer) noexcept {
    switch (answer) {
        case RelayAnswer::accepted:
            return "accepted";
        case RelayAnswer::refused_index_taken:
            return "refused_index_taken";
        case RelayAnswer::refused_not_member:
            return "refused_not_member";
        case RelayAnswer::refused_cap:
            return "refused_cap";
        case RelayAnswer::refused_no_way:
            return "refused_no_way";
        case RelayAnswer::refused_not_relay:
            return "refused_not_relay";
        case RelayAnswer::nb_answers:
            break;
    }
    return "?";
}

}  // namespace meshgate::mesh
