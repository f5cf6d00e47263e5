// SPDX-License-Identifier: Apache-2.0
// Writing packets; tlv.cc reads them.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "control/babel/tlv.h"
#include "control/babel/tlv_wire.h"

namespace meshgate::babel {

namespace {

using Buffer = std::vector<uint8_t>;

void put16(Buffer& to, uint16_t value) {
    to.push_back(static_cast<uint8_t>(value >> 8));
    to.push_back(static_cast<uint8_t>(value));
}

void put32(Buffer& to, uint32_t value) {
    put16(to, static_cast<uint16_t>(value >> 16));
    put16(to, static_cast<uint16_t>(value));
}

void put(Buffer& to, Bytes bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

// Writes type and length around what is appended while it lives.
class TlvScope {
public:
    TlvScope(Buffer& to, TlvType type) : to_{to} {
        to.push_back(static_cast<uint8_t>(type));
        to.push_back(0);
        start_ = to.size();
    }
    TlvScope(const TlvScope&) = delete;
    TlvScope& operator=(const TlvScope&) = delete;
    ~TlvScope() { to_[start_ - 1] = static_cast<uint8_t>(to_.size() - start_); }

private:
    Buffer& to_;
    size_t start_;
};

bool in_link_local_64(const IpAddress& address) noexcept {
    static constexpr std::array<uint8_t, 8> kStart{0xfe, 0x80};
    return address.is_v6() && std::equal(kStart.begin(), kStart.end(), address.bytes.begin());
}

Ae ae_of(const IpAddress& address) noexcept {
    if (address.is_v4())
        return Ae::ipv4;
    return in_link_local_64(address) ? Ae::link_local : Ae::ipv6;
}

void put_address(Buffer& to, const IpAddress& address) {
    const Bytes bytes = address.bytes;
    switch (ae_of(address)) {
        case Ae::ipv4:
            return put(to, bytes.first(4));
        case Ae::link_local:
            return put(to, bytes.subspan(8));
        default:
            return put(to, bytes);
    }
}

void put_prefix(Buffer& to, const Prefix& prefix) {
    put(to, Bytes{prefix.address.bytes}.first((size_t{prefix.len} + 7) / 8));
}

uint8_t ae_byte(const Prefix& prefix) noexcept {
    return static_cast<uint8_t>(prefix.address.is_v4() ? Ae::ipv4 : Ae::ipv6);
}

void encode(Buffer& to, const AckRequest& tlv) {
    const TlvScope scope{to, TlvType::ack_request};
    put16(to, 0);
    put16(to, tlv.nonce);
    put16(to, tlv.interval_cs);
}

void encode(Buffer& to, const Ack& tlv) {
    const TlvScope scope{to, TlvType::ack};
    put16(to, tlv.nonce);
}

void encode(Buffer& to, const Hello& tlv) {
    const TlvScope scope{to, TlvType::hello};
    put16(to, tlv.kind == HelloKind::unicast ? kFlagUnicast : 0);
    put16(to, tlv.seqno);
    put16(to, tlv.interval_cs);
    if (tlv.transmit_us) {
        to.push_back(kTimestampSubTlv);
        to.push_back(4);
        put32(to, *tlv.transmit_us);
    }
}

void encode(Buffer& to, const Ihu& tlv) {
    const TlvScope scope{to, TlvType::ihu};
    to.push_back(static_cast<uint8_t>(tlv.address ? ae_of(*tlv.address) : Ae::wildcard));
    to.push_back(0);
    put16(to, tlv.rxcost);
    put16(to, tlv.interval_cs);
    if (tlv.address)
        put_address(to, *tlv.address);
    if (tlv.timestamps) {
        to.push_back(kTimestampSubTlv);
        to.push_back(8);
        put32(to, tlv.timestamps->origin_us);
        put32(to, tlv.timestamps->receive_us);
    }
}

void encode(Buffer& to, const RouteRequest& tlv) {
    const TlvScope scope{to, TlvType::route_request};
    to.push_back(tlv.prefix ? ae_byte(*tlv.prefix) : uint8_t{0});
    to.push_back(tlv.prefix ? tlv.prefix->len : uint8_t{0});
    if (tlv.prefix)
        put_prefix(to, *tlv.prefix);
}

void encode(Buffer& to, const SeqnoRequest& tlv) {
    const TlvScope scope{to, TlvType::seqno_request};
    to.push_back(ae_byte(tlv.prefix));
    to.push_back(tlv.prefix.len);
    put16(to, tlv.seqno);
    to.push_back(tlv.hop_count);
    to.push_back(0);
    put(to, tlv.router_id);
    put_prefix(to, tlv.prefix);
}

void encode(Buffer& to, const PacketCounter& tlv) {
    const TlvScope scope{to, TlvType::pc};
    put32(to, tlv.pc);
    put(to, tlv.index);
}

void encode(Buffer& to, const ChallengeRequest& tlv) {
    const TlvScope scope{to, TlvType::challenge_request};
    put(to, tlv.nonce);
}

void encode(Buffer& to, const ChallengeReply& tlv) {
    const TlvScope scope{to, TlvType::challenge_reply};
    put(to, tlv.nonce);
}

}  // namespace

PacketWriter::PacketWriter(size_t max_len) : max_len_{max_len} {
    reset();
}

void PacketWriter::reset() {
    state_ = {};
    bytes_ = {kMagic, kVersion, 0, 0};
}

void PacketWriter::encode_update(std::vector<uint8_t>& to, const Update& update,
                                 const IpAddress& source) {
    if (!update.prefix) {
        const TlvScope scope{to, TlvType::update};
        put32(to, 0);
        put16(to, update.interval_cs);
        put16(to, update.seqno);
        put16(to, kInfinity);
        return;
    }
    Ae ae = update.prefix->address.is_v4() ? Ae::ipv4 : Ae::ipv6;
    if (update.metric != kInfinity) {
        if (ae == Ae::ipv4 && update.next_hop->is_v6())
            ae = Ae::ipv4_via_ipv6;
        if (state_.router_id != update.router_id) {
            const TlvScope scope{to, TlvType::router_id};
            put16(to, 0);
            put(to, *update.router_id);
            state_.router_id = update.router_id;
        }
        auto& known = ae == Ae::ipv4 ? state_.next_hop_v4 : state_.next_hop_v6;
        if (known.value_or(source) != *update.next_hop) {
            const TlvScope scope{to, TlvType::next_hop};
            to.push_back(static_cast<uint8_t>(ae_of(*update.next_hop)));
            to.push_back(0);
            put_address(to, *update.next_hop);
            known = update.next_hop;
        }
    }
    const Bytes prefix{update.prefix->address.bytes};
    const size_t full_len = (size_t{update.prefix->len} + 7) / 8;
    auto& last = state_.default_prefix[static_cast<size_t>(ae)];
    size_t omitted = 0;
    while (last && omitted < full_len && (*last)[omitted] == prefix[omitted])
        ++omitted;
    last = update.prefix->address.bytes;

    const TlvScope scope{to, TlvType::update};
    to.push_back(static_cast<uint8_t>(ae));
    to.push_back(kFlagDefaultPrefix);
    to.push_back(update.prefix->len);
    to.push_back(static_cast<uint8_t>(omitted));
    put16(to, update.interval_cs);
    put16(to, update.seqno);
    put16(to, update.metric);
    put(to, prefix.subspan(omitted, full_len - omitted));
}

bool PacketWriter::add(const Tlv& tlv, const IpAddress& source) {
    const size_t len_before = bytes_.size();
    if (const auto* update = std::get_if<Update>(&tlv)) {
        const State before = state_;
        encode_update(bytes_, *update, source);
        if (bytes_.size() > max_len_)
            state_ = before;
    } else {
        std::visit(
            [this](const auto& any) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(any)>, Update>)
                    encode(bytes_, any);
            },
            tlv);
    }
    if (bytes_.size() <= max_len_)
        return true;
    bytes_.resize(len_before);
    return false;
}

void PacketWriter::add_last(const Tlv& tlv, const IpAddress& source) {
    const size_t max_len = std::exchange(max_len_, SIZE_MAX);
    (void)add(tlv, source);
    max_len_ = max_len;
}

std::vector<uint8_t> PacketWriter::finish() {
    const size_t body_len = bytes_.size() - kHeaderLen;
    bytes_[2] = static_cast<uint8_t>(body_len >> 8);
    bytes_[3] = static_cast<uint8_t>(body_len);
    std::vector<uint8_t> done = std::move(bytes_);
    reset();
    return done;
}

}  // namespace meshgate::babel
