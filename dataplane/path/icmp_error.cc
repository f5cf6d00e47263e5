// SPDX-License-Identifier: Apache-2.0

// In:    packets that died of something their sender should know, data at the IP header.
// Out:   the ICMP or ICMPv6 errors about them, as overlay packets of our own, to be routed.
// Drops: the offending packets, by their reason. No error is made about errors, fragments,
//        multicast, or above the worker's rate (RFC 1812, 4.3.2; RFC 4443, 2.4).

#include <algorithm>

#include "base/source_address.h"
#include "dataplane/path/stages.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

constexpr uint16_t kMaxErrorLenV4 = 576;   // RFC 1812, 4.3.2.3
constexpr uint16_t kMaxErrorLenV6 = 1280;  // RFC 4443, 2.4 (c)
constexpr uint8_t kErrorHopLimit = 64;
constexpr uint8_t kErrorTosV4 = 0xc0;  // internetwork control (RFC 1812, 4.3.2.5)

struct ErrorKind {
    Drop reason;
    Stage stage;  // that asked for it
    uint8_t type_v4, code_v4;
    uint8_t type_v6, code_v6;
};

constexpr ErrorKind kind_of(IcmpError error) noexcept {
    switch (error) {
        case IcmpError::ttl_expired:
            return {Drop::ttl_expired, Stage::route, kIcmpTimeExceeded, 0, kIcmp6TimeExceeded, 0};
        case IcmpError::no_endpoint:
            return {Drop::no_endpoint, Stage::path, kIcmpUnreachable, 1, kIcmp6Unreachable, 3};
        case IcmpError::no_listener:
            return {
                Drop::local_no_listener, Stage::route, kIcmpUnreachable, 3, kIcmp6Unreachable, 4};
        case IcmpError::too_big:
            return {Drop::too_big, Stage::fragment, kIcmpUnreachable, 4, kIcmp6TooBig, 0};
        case IcmpError::none:
        case IcmpError::no_route:
            break;
    }
    return {Drop::no_route, Stage::route, kIcmpUnreachable, 0, kIcmp6Unreachable, 0};
}

bool take_token(Worker& worker) noexcept {
    IcmpErrorState& state = worker.stage_state.icmp_error;
    return state.rate.take(state.paid_until_tsc, worker.now_tsc);
}

bool may_answer_v4(rte_mbuf* mbuf) noexcept {
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf);
    if ((ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK)) != 0)
        return false;
    const IpAddress destination = IpAddress::v4(ip->dst_addr);
    if (destination.is_multicast() || ip->dst_addr == UINT32_MAX)
        return false;
    if (ip->next_proto_id != kProtoIcmp)
        return true;
    const uint16_t offset = rte_ipv4_hdr_len(ip);
    if (mbuf->data_len < offset + sizeof(IcmpHeader))
        return false;
    const uint8_t type = header_at<IcmpHeader>(mbuf, offset)->type;
    return type == kIcmpEchoRequest || type == kIcmpEchoReply;
}

bool may_answer_v6(rte_mbuf* mbuf, IcmpError error) noexcept {
    const auto* ip = header_at<rte_ipv6_hdr>(mbuf);
    if (IpAddress::v6(ip->dst_addr).is_multicast() && error != IcmpError::too_big)
        return false;
    if (ip->proto != kProtoIcmp6)
        return true;
    if (mbuf->data_len < kIpv6Len + sizeof(IcmpHeader))
        return false;
    return header_at<IcmpHeader>(mbuf, kIpv6Len)->type >= kIcmp6EchoRequest;
}

IpAddress sender_of(rte_mbuf* mbuf, Family family) noexcept {
    return family == Family::ipv4 ? IpAddress::v4(header_at<rte_ipv4_hdr>(mbuf)->src_addr)
                                  : IpAddress::v6(header_at<rte_ipv6_hdr>(mbuf)->src_addr);
}

IpAddress destination_of(rte_mbuf* mbuf, Family family) noexcept {
    return family == Family::ipv4 ? IpAddress::v4(header_at<rte_ipv4_hdr>(mbuf)->dst_addr)
                                  : IpAddress::v6(header_at<rte_ipv6_hdr>(mbuf)->dst_addr);
}

// Of the port by which the packet came, else of the box; RFC 6724 by the sender. A box without an address of its own on the inside speaks for where the packet wanted to go: that
// is in the allowed IPs that the peer has for us, or it would not have sent it here. Family none:
// there is no source.
IpAddress source_for(const Snapshot& snapshot, rte_mbuf* mbuf, Family family) noexcept {
    const PacketMeta& meta = meta_of(mbuf);
    const IpAddress sender = sender_of(mbuf, family);
    if (meta.from_peer == kNoPeer && meta.arrival_port != kNoPort) {
        const auto own = choose_source(snapshot.ports[meta.arrival_port].addresses, sender);
        if (own && !own->is_link_local())
            return *own;
    }
    if (const auto own = choose_source(snapshot.icmp_sources, sender))
        return *own;
    const IpAddress destination = destination_of(mbuf, family);
    return destination.is_multicast() ? IpAddress{} : destination;
}

// Quotes the packet that stands in the mbuf behind new headers.
bool build_v4(rte_mbuf* mbuf, const IpAddress& source, const ErrorKind& kind,
              uint16_t mtu) noexcept {
    const uint32_t destination_be = header_at<rte_ipv4_hdr>(mbuf)->src_addr;
    const uint16_t max_quote = kMaxErrorLenV4 - kIpv4Len - sizeof(IcmpHeader);
    if (mbuf->data_len > max_quote)
        rte_pktmbuf_trim(mbuf, static_cast<uint16_t>(mbuf->data_len - max_quote));
    if (rte_pktmbuf_prepend(mbuf, kIpv4Len + sizeof(IcmpHeader)) == nullptr)
        return false;
    auto* icmp = header_at<IcmpHeader>(mbuf, kIpv4Len);
    *icmp = IcmpHeader{.type = kind.type_v4,
                       .code = kind.code_v4,
                       .checksum_be = 0,
                       .rest_be = kind.reason == Drop::too_big ? rte_cpu_to_be_32(mtu) : 0};
    icmp->checksum_be =
        static_cast<uint16_t>(~rte_raw_cksum(icmp, mbuf->data_len - size_t{kIpv4Len}));
    auto* ip = header_at<rte_ipv4_hdr>(mbuf);
    *ip = rte_ipv4_hdr{};
    ip->version_ihl = RTE_IPV4_VHL_DEF;
    ip->type_of_service = kErrorTosV4;
    ip->total_length = rte_cpu_to_be_16(mbuf->data_len);
    ip->time_to_live = kErrorHopLimit;
    ip->next_proto_id = kProtoIcmp;
    ip->src_addr = source.v4_be();
    ip->dst_addr = destination_be;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    return true;
}

bool build_v6(rte_mbuf* mbuf, const IpAddress& source, const ErrorKind& kind,
              uint16_t mtu) noexcept {
    const IpAddress destination = IpAddress::v6(header_at<rte_ipv6_hdr>(mbuf)->src_addr);
    const uint16_t max_quote = kMaxErrorLenV6 - kIpv6Len - sizeof(IcmpHeader);
    if (mbuf->data_len > max_quote)
        rte_pktmbuf_trim(mbuf, static_cast<uint16_t>(mbuf->data_len - max_quote));
    if (rte_pktmbuf_prepend(mbuf, kIpv6Len + sizeof(IcmpHeader)) == nullptr)
        return false;
    auto* ip = header_at<rte_ipv6_hdr>(mbuf);
    *ip = rte_ipv6_hdr{};
    ip->vtc_flow = rte_cpu_to_be_32(uint32_t{6} << 28);
    ip->payload_len = rte_cpu_to_be_16(static_cast<uint16_t>(mbuf->data_len - kIpv6Len));
    ip->proto = kProtoIcmp6;
    ip->hop_limits = kErrorHopLimit;
    std::memcpy(ip->src_addr, source.bytes.data(), 16);
    std::memcpy(ip->dst_addr, destination.bytes.data(), 16);
    auto* icmp = header_at<IcmpHeader>(mbuf, kIpv6Len);
    *icmp = IcmpHeader{
        .type = kind.type_v6,
        .code = kind.code_v6,
        .checksum_be = 0,
        .rest_be = kind.reason == Drop::too_big ? rte_cpu_to_be_32(std::max(mtu, kIpv6MinMtu)) : 0};
    icmp->checksum_be = rte_ipv6_udptcp_cksum(ip, icmp);
    return true;
}

bool answer(Worker& worker, const Snapshot& snapshot, rte_mbuf* mbuf) noexcept {
    const PacketMeta& meta = meta_of(mbuf);
    const ErrorKind kind = kind_of(meta.error);
    const bool v4 = ip_version(mbuf) == 4;
    const IpAddress source = source_for(snapshot, mbuf, v4 ? Family::ipv4 : Family::ipv6);
    if (source.family == Family::none)
        return false;
    if (!(v4 ? may_answer_v4(mbuf) : may_answer_v6(mbuf, meta.error)) || !take_token(worker))
        return false;
    return v4 ? build_v4(mbuf, source, kind, meta.mtu_bytes)
              : build_v6(mbuf, source, kind, meta.mtu_bytes);
}

}  // namespace

// The mbuf lives on as the answer: its packet died (counted as a drop) and one of ours was born.
void icmp_error_stage(Worker& worker, const Snapshot& snapshot, Batch& errors) noexcept {
    errors.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        const ErrorKind kind = kind_of(meta.error);
        if (!answer(worker, snapshot, mbuf)) {
            worker.drop(mbuf, kind.reason, kind.stage);
            return false;
        }
        worker.counters.drops.add(kind.reason, kind.stage);
        worker.counters.originated_packets.add(1);
        meta.error = IcmpError::none;
        meta.from_peer = kNoPeer;
        meta.source_mac = {};
        return true;
    });
}

void drop_errors(Worker& worker, Batch& errors) noexcept {
    for (rte_mbuf* mbuf : errors) {
        const ErrorKind kind = kind_of(meta_of(mbuf).error);
        worker.drop(mbuf, kind.reason, kind.stage);
    }
    errors.clear();
}

}  // namespace meshgate
