// SPDX-License-Identifier: Apache-2.0
// Reading packets; tlv_write.cc writes them.
#include "control/babel/tlv.h"

#include <algorithm>
#include <utility>

#include "control/babel/tlv_wire.h"

namespace meshgate::babel {

namespace {

uint16_t read16(Bytes bytes, size_t at) noexcept {
    return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

uint32_t read32(Bytes bytes, size_t at) noexcept {
    return uint32_t{read16(bytes, at)} << 16 | read16(bytes, at + 2);
}

IpAddress ipv4_of(Bytes four) noexcept {
    IpAddress address;
    address.family = Family::ipv4;
    std::copy_n(four.begin(), 4, address.bytes.begin());
    return address;
}

// Nobody's (section 4.1.3).
bool is_reserved(const RouterId& id) noexcept {
    const auto all = [&id](uint8_t byte) {
        return std::all_of(id.begin(), id.end(), [byte](uint8_t b) { return b == byte; });
    };
    return all(0) || all(0xff);
}

bool is_ipv4(Ae ae) noexcept {
    return ae == Ae::ipv4 || ae == Ae::ipv4_via_ipv6;
}

// What follows the fixed part of a TLV.
struct SubTlvs {
    bool usable = true;  // false: malformed, or a mandatory one that we do not know
    std::optional<Bytes> timestamp;
};

SubTlvs read_sub_tlvs(Bytes bytes) noexcept {
    SubTlvs result;
    while (!bytes.empty()) {
        const uint8_t type = bytes[0];
        if (type == 0) {
            bytes = bytes.subspan(1);
            continue;
        }
        if (bytes.size() < 2 || bytes.size() < size_t{2} + bytes[1]) {
            result.usable = false;
            return result;
        }
        const Bytes value = bytes.subspan(2, bytes[1]);
        if (type >= kFirstMandatorySubTlv)
            result.usable = false;
        if (type == kTimestampSubTlv && !result.timestamp)
            result.timestamp = value;
        bytes = bytes.subspan(size_t{2} + value.size());
    }
    return result;
}

// An address as Next Hop and IHU carry it, and how many bytes it took.
struct Address {
    std::optional<IpAddress> address;  // none: wildcard
    size_t len = 0;
};

std::optional<Address> read_address(uint8_t ae, Bytes bytes) noexcept {
    switch (static_cast<Ae>(ae)) {
        case Ae::wildcard:
            return Address{};
        case Ae::ipv4:
            if (bytes.size() < 4)
                return std::nullopt;
            return Address{ipv4_of(bytes), 4};
        case Ae::ipv6:
            if (bytes.size() < 16)
                return std::nullopt;
            return Address{IpAddress::v6(bytes.data()), 16};
        case Ae::link_local: {
            if (bytes.size() < 8)
                return std::nullopt;
            std::array<uint8_t, 16> full{0xfe, 0x80};
            std::copy_n(bytes.begin(), 8, full.begin() + 8);
            return Address{IpAddress::v6(full.data()), 8};
        }
        default:  // v4-via-v6 is for prefixes alone (RFC 9229 section 4.2)
            return std::nullopt;
    }
}

// The state that TLVs of one packet share (RFC 8966 section 4.5).
class Decoder {
public:
    Decoder(Decoded& decoded, const IpAddress& source) : decoded_{decoded} {
        (source.is_v4() ? next_hop_v4_ : next_hop_v6_) = source;
    }

    // False: not understood.
    bool read(TlvType type, Bytes value);

private:
    struct PrefixBytes {
        std::array<uint8_t, 16> bytes{};
        size_t read_len = 0;
    };
    static std::optional<Prefix> to_prefix(Ae ae, uint8_t plen,
                                           const std::array<uint8_t, 16>& bytes) noexcept;
    std::optional<PrefixBytes> read_prefix(uint8_t ae, uint8_t plen, uint8_t omitted,
                                           Bytes bytes) const noexcept;
    bool read_hello(Bytes value);
    bool read_ihu(Bytes value);
    bool read_router_id(Bytes value);
    bool read_next_hop(Bytes value);
    bool read_update(Bytes value);
    bool read_route_request(Bytes value);
    bool read_seqno_request(Bytes value);
    bool push(Tlv tlv) {
        decoded_.tlvs.push_back(std::move(tlv));
        return true;
    }

    Decoded& decoded_;
    std::optional<RouterId> router_id_;
    std::optional<IpAddress> next_hop_v4_;
    std::optional<IpAddress> next_hop_v6_;
    // v4-via-v6 has its own (RFC 9229 section 4.1).
    std::array<std::optional<std::array<uint8_t, 16>>, 5> default_prefix_;
};

bool Decoder::read(TlvType type, Bytes value) {
    switch (type) {
        case TlvType::pad1:
        case TlvType::padn:
            return true;
        case TlvType::ack_request:
            if (value.size() < 6 || !read_sub_tlvs(value.subspan(6)).usable)
                return false;
            return push(AckRequest{read16(value, 2), read16(value, 4)});
        case TlvType::ack:
            if (value.size() < 2 || !read_sub_tlvs(value.subspan(2)).usable)
                return false;
            return push(Ack{read16(value, 0)});
        case TlvType::hello:
            return read_hello(value);
        case TlvType::ihu:
            return read_ihu(value);
        case TlvType::router_id:
            return read_router_id(value);
        case TlvType::next_hop:
            return read_next_hop(value);
        case TlvType::update:
            return read_update(value);
        case TlvType::route_request:
            return read_route_request(value);
        case TlvType::seqno_request:
            return read_seqno_request(value);
        case TlvType::mac:
            return true;  // belongs into the trailer; in the body it says nothing
        // These have no sub-TLVs: everything after the fixed part is the index or the nonce.
        case TlvType::pc:
            if (value.size() < 4 || value.size() > 4 + kMaxIndexLen)
                return false;
            return push(PacketCounter{read32(value, 0), {value.begin() + 4, value.end()}});
        case TlvType::challenge_request:
            return value.size() <= kMaxNonceLen &&
                   push(ChallengeRequest{{value.begin(), value.end()}});
        case TlvType::challenge_reply:
            return value.size() <= kMaxNonceLen &&
                   push(ChallengeReply{{value.begin(), value.end()}});
    }
    return false;
}

bool Decoder::read_hello(Bytes value) {
    if (value.size() < 6)
        return false;
    const SubTlvs subs = read_sub_tlvs(value.subspan(6));
    if (!subs.usable)
        return false;
    Hello hello{
        .kind = (read16(value, 0) & kFlagUnicast) != 0 ? HelloKind::unicast : HelloKind::multicast,
        .seqno = read16(value, 2),
        .interval_cs = read16(value, 4),
        .transmit_us = std::nullopt};
    if (subs.timestamp && subs.timestamp->size() >= 4)
        hello.transmit_us = read32(*subs.timestamp, 0);
    return push(hello);
}

bool Decoder::read_ihu(Bytes value) {
    if (value.size() < 6)
        return false;
    const auto address = read_address(value[0], value.subspan(6));
    if (!address)
        return false;
    const SubTlvs subs = read_sub_tlvs(value.subspan(6 + address->len));
    if (!subs.usable)
        return false;
    Ihu ihu{.address = address->address,
            .rxcost = read16(value, 2),
            .interval_cs = read16(value, 4),
            .timestamps = std::nullopt};
    if (subs.timestamp && subs.timestamp->size() >= 8)
        ihu.timestamps = {read32(*subs.timestamp, 0), read32(*subs.timestamp, 4)};
    return push(ihu);
}

// State is updated before the mandatory sub-TLVs are looked at: every implementation must have the
// same state after a TLV, whether it understands its extensions or not (section 4.5).
bool Decoder::read_router_id(Bytes value) {
    if (value.size() < 10)
        return false;
    RouterId id;
    std::copy_n(value.begin() + 2, id.size(), id.begin());
    // Not the one before either: its updates would be credited to the wrong router.
    router_id_ = is_reserved(id) ? std::nullopt : std::optional{id};
    return router_id_ && read_sub_tlvs(value.subspan(10)).usable;
}

bool Decoder::read_next_hop(Bytes value) {
    if (value.size() < 2)
        return false;
    const auto address = read_address(value[0], value.subspan(2));
    if (!address || !address->address)
        return false;
    (address->address->is_v4() ? next_hop_v4_ : next_hop_v6_) = address->address;
    return read_sub_tlvs(value.subspan(2 + address->len)).usable;
}

std::optional<Decoder::PrefixBytes> Decoder::read_prefix(uint8_t ae, uint8_t plen, uint8_t omitted,
                                                         Bytes bytes) const noexcept {
    if (ae == 0 || ae >= default_prefix_.size())
        return std::nullopt;
    if (plen > (is_ipv4(static_cast<Ae>(ae)) ? 32 : 128))
        return std::nullopt;
    const size_t full_len = (size_t{plen} + 7) / 8;
    PrefixBytes result;
    if (omitted > full_len || (omitted > 0 && !default_prefix_[ae]))
        return std::nullopt;
    result.read_len = full_len - omitted;
    if (bytes.size() < result.read_len)
        return std::nullopt;
    if (omitted > 0)
        std::copy_n(default_prefix_[ae]->begin(), omitted, result.bytes.begin());
    std::copy_n(bytes.begin(), result.read_len, result.bytes.begin() + omitted);
    return result;
}

// The host bits are cleared: they mean nothing (section 4.1.5).
std::optional<Prefix> Decoder::to_prefix(Ae ae, uint8_t plen,
                                         const std::array<uint8_t, 16>& bytes) noexcept {
    if (ae == Ae::link_local)
        return std::nullopt;  // no route leads to a link-local prefix
    const Prefix prefix{is_ipv4(ae) ? ipv4_of(bytes) : IpAddress::v6(bytes.data()), plen};
    return prefix.network();
}

bool Decoder::read_update(Bytes value) {
    if (value.size() < 10)
        return false;
    const uint8_t flags = value[1];
    const uint8_t plen = value[2];
    const uint8_t omitted = value[3];
    Update update{.prefix = std::nullopt,
                  .interval_cs = read16(value, 4),
                  .seqno = read16(value, 6),
                  .metric = read16(value, 8),
                  .router_id = std::nullopt,
                  .next_hop = std::nullopt};
    if (value[0] == 0) {  // the wildcard can only retract (section 4.6.9)
        if (plen != 0 || omitted != 0 || update.metric != kInfinity)
            return false;
        return read_sub_tlvs(value.subspan(10)).usable && push(update);
    }
    const auto prefix = read_prefix(value[0], plen, omitted, value.subspan(10));
    if (!prefix)
        return false;
    const Ae ae = static_cast<Ae>(value[0]);
    if ((flags & kFlagDefaultPrefix) != 0)
        default_prefix_[value[0]] = prefix->bytes;
    if ((flags & kFlagRouterId) != 0) {
        RouterId id{};
        if (is_ipv4(ae))
            std::copy_n(prefix->bytes.begin(), 4, id.begin() + 4);
        else
            std::copy_n(prefix->bytes.begin() + 8, 8, id.begin());
        router_id_ = is_reserved(id) ? std::nullopt : std::optional{id};
    }
    update.prefix = to_prefix(ae, plen, prefix->bytes);
    if (!update.prefix || !read_sub_tlvs(value.subspan(10 + prefix->read_len)).usable)
        return false;
    if (update.metric == kInfinity)  // router-id, seqno and next hop are not used
        return push(update);
    update.router_id = router_id_;
    update.next_hop = ae == Ae::ipv4 ? next_hop_v4_ : next_hop_v6_;
    return update.router_id && update.next_hop && push(update);
}

bool Decoder::read_route_request(Bytes value) {
    if (value.size() < 2)
        return false;
    if (value[0] == 0)
        return value[1] == 0 && read_sub_tlvs(value.subspan(2)).usable && push(RouteRequest{});
    const auto bytes = read_prefix(value[0], value[1], 0, value.subspan(2));
    if (!bytes || !read_sub_tlvs(value.subspan(2 + bytes->read_len)).usable)
        return false;
    const auto prefix = to_prefix(static_cast<Ae>(value[0]), value[1], bytes->bytes);
    return prefix && push(RouteRequest{prefix});
}

bool Decoder::read_seqno_request(Bytes value) {
    if (value.size() < 14)
        return false;
    const auto bytes = read_prefix(value[0], value[1], 0, value.subspan(14));
    if (!bytes || !read_sub_tlvs(value.subspan(14 + bytes->read_len)).usable)
        return false;
    const auto prefix = to_prefix(static_cast<Ae>(value[0]), value[1], bytes->bytes);
    if (!prefix || value[4] == 0)  // the hop count must not be zero (section 4.6.11)
        return false;
    SeqnoRequest request{
        .prefix = *prefix, .seqno = read16(value, 2), .hop_count = value[4], .router_id = {}};
    std::copy_n(value.begin() + 6, request.router_id.size(), request.router_id.begin());
    return push(request);
}

}  // namespace

IpAddress multicast_group() noexcept {
    static constexpr std::array<uint8_t, 16> kGroup{0xff, 2, 0, 0, 0, 0, 0, 0,
                                                    0,    0, 0, 0, 0, 1, 0, 6};
    return IpAddress::v6(kGroup.data());
}

std::optional<size_t> body_end(Bytes packet) noexcept {
    if (packet.size() < kHeaderLen || packet[0] != kMagic || packet[1] != kVersion)
        return std::nullopt;
    const size_t end = kHeaderLen + read16(packet, 2);
    return end <= packet.size() ? std::optional{end} : std::nullopt;
}

std::optional<Decoded> decode(Bytes packet, const IpAddress& source) {
    const auto end = body_end(packet);
    if (!end)
        return std::nullopt;
    Decoded decoded;
    Decoder decoder{decoded, source};
    Bytes rest = packet.subspan(kHeaderLen, *end - kHeaderLen);
    while (!rest.empty()) {
        const auto type = static_cast<TlvType>(rest[0]);
        if (type == TlvType::pad1) {
            rest = rest.subspan(1);
            continue;
        }
        if (rest.size() < 2 || rest.size() < size_t{2} + rest[1]) {
            ++decoded.nb_ignored;
            break;
        }
        const Bytes value = rest.subspan(2, rest[1]);
        if (!decoder.read(type, value))
            ++decoded.nb_ignored;
        rest = rest.subspan(size_t{2} + value.size());
    }
    return decoded;
}

}  // namespace meshgate::babel
