// SPDX-License-Identifier: Apache-2.0
#include "dataplane/host/super_packet.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/checksum.h"

namespace meshgate {

namespace {

// Of one packet.
constexpr size_t kMaxPacketBytes = UINT16_MAX;
constexpr uint8_t kTcpFin = 0x01, kTcpPsh = 0x08, kTcpCwr = 0x80;
constexpr size_t kTcpFlags = 13;  // offsets in the TCP header
constexpr size_t kTcpChecksum = 16;

template <typename T>
T load(const uint8_t* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <typename T>
void store(uint8_t* to, T value) noexcept {
    std::memcpy(to, &value, sizeof value);
}

// Of bytes whose own field holds what else is to be summed up, or zero.
uint16_t checksum_of(std::span<const uint8_t> bytes) noexcept {
    return static_cast<uint16_t>(kSumModulus - internet_sum(bytes) % kSumModulus);
}

}  // namespace

std::optional<SuperPacket> SuperPacket::parse(const OffloadHeader& header,
                                              std::span<const uint8_t> bytes, uint16_t l3_offset) {
    SuperPacket packet{bytes};
    const bool whole = header.kind == OffloadHeader::kWhole;
    if (!packet.take_checksum(header))
        return std::nullopt;
    if (whole ? bytes.size() > kMaxPacketBytes : !packet.take_segments(header, l3_offset))
        return std::nullopt;
    return packet;
}

bool SuperPacket::take_checksum(const OffloadHeader& header) noexcept {
    needs_checksum_ = (header.flags & OffloadHeader::kNeedsChecksum) != 0;
    if (!needs_checksum_)
        return true;
    checksum_start_ = header.checksum_start;
    checksum_offset_ = header.checksum_offset;
    return size_t{checksum_start_} + checksum_offset_ + sizeof(uint16_t) <= bytes_.size();
}

bool SuperPacket::take_segments(const OffloadHeader& header, uint16_t l3_offset) noexcept {
    const unsigned kind = header.kind & ~unsigned{OffloadHeader::kEcn};
    v4_ = kind == OffloadHeader::kTcpV4;
    if ((!v4_ && kind != OffloadHeader::kTcpV6) || !needs_checksum_ || header.segment_len == 0)
        return false;
    l3_offset_ = l3_offset;
    l4_offset_ = checksum_start_;
    segment_len_ = header.segment_len;
    const size_t ip_len = v4_ ? sizeof(iphdr) : sizeof(ip6_hdr);
    if (checksum_offset_ != kTcpChecksum || l4_offset_ < l3_offset_ + ip_len ||
        bytes_.size() < size_t{l4_offset_} + sizeof(tcphdr))
        return false;
    const unsigned version = bytes_[l3_offset_] >> 4;
    const unsigned tcp_len = (bytes_[l4_offset_ + 12U] >> 4) * 4U;
    header_len_ = static_cast<uint16_t>(l4_offset_ + tcp_len);
    if (version != (v4_ ? 4U : 6U) || tcp_len < sizeof(tcphdr) || bytes_.size() <= header_len_ ||
        size_t{header_len_} + segment_len_ > kMaxPacketBytes)
        return false;
    const size_t payload_len = bytes_.size() - header_len_;
    nb_pieces_ = static_cast<unsigned>((payload_len + segment_len_ - 1) / segment_len_);
    return true;
}

uint16_t SuperPacket::piece_len(unsigned piece) const noexcept {
    if (segment_len_ == 0)
        return static_cast<uint16_t>(bytes_.size());
    const size_t begin = header_len_ + size_t{piece} * segment_len_;
    return static_cast<uint16_t>(header_len_ +
                                 std::min<size_t>(segment_len_, bytes_.size() - begin));
}

void SuperPacket::write(unsigned piece, uint8_t* out) const noexcept {
    const uint16_t len = piece_len(piece);
    if (segment_len_ == 0) {
        std::memcpy(out, bytes_.data(), len);
        if (needs_checksum_)
            finish_checksum(out);
        return;
    }
    const size_t begin = header_len_ + size_t{piece} * segment_len_;
    std::memcpy(out, bytes_.data(), header_len_);
    std::memcpy(out + header_len_, bytes_.data() + begin, size_t{len} - header_len_);
    finish_segment(piece, {out, len});
}

// The field holds the sum of the pseudo-header.
void SuperPacket::finish_checksum(uint8_t* out) const noexcept {
    const std::span<const uint8_t> summed{out + checksum_start_, bytes_.size() - checksum_start_};
    store(out + checksum_start_ + checksum_offset_, checksum_of(summed));
}

void SuperPacket::finish_segment(unsigned piece, std::span<uint8_t> out) const noexcept {
    uint8_t* const tcp = out.data() + l4_offset_;
    const auto offset = static_cast<uint32_t>(size_t{piece} * segment_len_);
    store(tcp + 4, htonl(ntohl(load<uint32_t>(tcp + 4)) + offset));
    if (piece + 1 < nb_pieces_)
        tcp[kTcpFlags] &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
    if (piece > 0)
        tcp[kTcpFlags] &= static_cast<uint8_t>(~kTcpCwr);
    store(tcp + kTcpChecksum, uint16_t{0});
    const std::span<const uint8_t> segment = out.subspan(l4_offset_);
    uint8_t* const ip = out.data() + l3_offset_;  // at any alignment
    const auto ip_len = static_cast<uint16_t>(out.size() - l3_offset_);
    std::span<const uint8_t> addresses;
    if (v4_) {
        const auto id = ntohs(load<uint16_t>(ip + offsetof(iphdr, id)));
        store(ip + offsetof(iphdr, tot_len), htons(ip_len));
        store(ip + offsetof(iphdr, id), htons(static_cast<uint16_t>(id + piece)));
        store(ip + offsetof(iphdr, check), uint16_t{0});
        store(ip + offsetof(iphdr, check), checksum_of({ip, size_t{l4_offset_} - l3_offset_}));
        addresses = {ip + offsetof(iphdr, saddr), 2 * sizeof(in_addr)};
    } else {
        store(ip + offsetof(ip6_hdr, ip6_plen),
              htons(static_cast<uint16_t>(ip_len - sizeof(ip6_hdr))));
        addresses = {ip + offsetof(ip6_hdr, ip6_src), 2 * sizeof(in6_addr)};
    }
    store(tcp + kTcpChecksum, l4_checksum(addresses, IPPROTO_TCP, segment));
}

}  // namespace meshgate
