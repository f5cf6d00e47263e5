// SPDX-License-Identifier: Apache-2.0

// Reassembly of fragmented datagrams that are for us.
//
// In:    fragments of UDP datagrams for an address of ours, frames of wan ports, data at the
//        Ethernet header; all of one source come to one worker (fragment_owner).
// Out:   frames whose datagram is whole, as if it had come in one piece, whatever came last; to be
//        classified anew.
// Drops: reassembled (the other pieces of a whole one), fragment_bad, fragment_overlap,
//        fragment_timeout, fragment_limit, fragment_too_large (RFC 1122, 3.3.2; RFC 8200, 4.5;
//        RFC 5722; RFC 6946).

#include <algorithm>

#include "dataplane/path/stages.h"
#include "dataplane/wire/frame.h"

namespace meshgate {

namespace {

class DropSink final : public Reassembly::Sink {
public:
    explicit DropSink(Worker& worker) noexcept : worker_{worker} {}
    void drop(rte_mbuf* mbuf, Drop reason) noexcept override { worker_.drop(mbuf, reason); }

private:
    Worker& worker_;
};

// No other peer, and no port, may have a piece in a datagram. The numbers of ports are small.
uint32_t sender_of(const PacketMeta& meta) noexcept {
    return meta.from_peer == kNoPeer ? meta.arrival_port : kMaxPorts + meta.from_peer;
}

uint16_t l3_offset_of(rte_mbuf* mbuf) noexcept {
    return static_cast<uint16_t>(meta_of(mbuf).outer_l3_offset - mbuf->data_off);
}

struct Parsed {
    FragmentKey key;
    Fragment fragment;
};

Parsed parse_v4(rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf, l3_offset);
    const uint16_t field = rte_be_to_cpu_16(ip->fragment_offset);
    const auto payload_offset = static_cast<uint16_t>(l3_offset + rte_ipv4_hdr_len(ip));
    return {.key = {.source = IpAddress::v4(ip->src_addr),
                    .destination = IpAddress::v4(ip->dst_addr),
                    .identification = ip->packet_id,
                    .proto = ip->next_proto_id,
                    .sender = sender_of(meta_of(mbuf))},
            .fragment = {.mbuf = mbuf,
                         .offset = (field & uint32_t{RTE_IPV4_HDR_OFFSET_MASK}) * 8,
                         .len = static_cast<uint16_t>(mbuf->data_len - payload_offset),
                         .payload_offset = payload_offset,
                         .more = (field & RTE_IPV4_HDR_MF_FLAG) != 0}};
}

Parsed parse_v6(rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    const auto* ip = header_at<rte_ipv6_hdr>(mbuf, l3_offset);
    const auto* header = reinterpret_cast<const FragmentHeader*>(ip + 1);
    const uint16_t field = rte_be_to_cpu_16(header->offset_and_more_be);
    const auto payload_offset =
        static_cast<uint16_t>(l3_offset + kIpv6Len + sizeof(FragmentHeader));
    return {.key = {.source = IpAddress::v6(ip->src_addr),
                    .destination = IpAddress::v6(ip->dst_addr),
                    .identification = header->identification_be,
                    .proto = header->next_header,
                    .sender = sender_of(meta_of(mbuf))},
            .fragment = {.mbuf = mbuf,
                         .offset = field & ~7U,
                         .len = static_cast<uint16_t>(mbuf->data_len - payload_offset),
                         .payload_offset = payload_offset,
                         .more = (field & 1) != 0}};
}

// The headers of the first fragment become those of the whole datagram.
void finish_v4(rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    auto* ip = header_at<rte_ipv4_hdr>(mbuf, l3_offset);
    ip->fragment_offset = 0;
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(mbuf->data_len - l3_offset));
    ip->hdr_checksum = 0;
    ip->hdr_checksum = static_cast<uint16_t>(~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip)));
}

// Takes the fragment header out: what stands in front of it moves up.
void finish_v6(rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    constexpr uint16_t kGap = sizeof(FragmentHeader);
    auto* frame = header_at<uint8_t>(mbuf);
    const uint16_t before_len = l3_offset + kIpv6Len;
    const uint8_t next_header =
        reinterpret_cast<const FragmentHeader*>(frame + before_len)->next_header;
    std::memmove(frame + kGap, frame, before_len);
    narrow(mbuf, kGap, static_cast<uint16_t>(mbuf->data_len - kGap));
    auto* ip = header_at<rte_ipv6_hdr>(mbuf, l3_offset);
    ip->proto = next_header;
    ip->payload_len = rte_cpu_to_be_16(static_cast<uint16_t>(mbuf->data_len - before_len));
}

void finish(rte_mbuf* mbuf) noexcept {
    const uint16_t l3_offset = l3_offset_of(mbuf);
    mbuf->ol_flags &= ~(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK);
    if ((*header_at<uint8_t>(mbuf, l3_offset) >> 4) == 4)
        finish_v4(mbuf, l3_offset);
    else
        finish_v6(mbuf, l3_offset);
}

uint8_t tos_of(rte_mbuf* mbuf) noexcept {
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf, l3_offset_of(mbuf));
    return (ip->version_ihl >> 4) == 4
               ? ip->type_of_service
               : ipv6_traffic_class(*reinterpret_cast<const rte_ipv6_hdr*>(ip));
}

// RFC 3168, section 5.3: congestion that one piece met is the datagram's.
void take_over_ecn(rte_mbuf* first) noexcept {
    if ((tos_of(first) & kEcnMask) == 0)
        return;
    auto* ip4 = header_at<rte_ipv4_hdr>(first, l3_offset_of(first));
    if ((ip4->version_ihl >> 4) == 4)
        ip4->type_of_service |= kEcnCe;
    else
        reinterpret_cast<rte_ipv6_hdr*>(ip4)->vtc_flow |= rte_cpu_to_be_32(uint32_t{kEcnCe} << 20);
}

// The whole datagram in the first piece's mbuf, or null.
rte_mbuf* join(Worker& worker, const Reassembly::Pieces& pieces) noexcept {
    rte_mbuf* const first = pieces.piece[0].mbuf;
    const std::span rest = std::span{pieces.piece}.subspan(1, pieces.nb - 1);
    uint32_t rest_len = 0;
    bool congested = false;
    for (const Fragment& one : rest) {
        rest_len += one.len;
        congested = congested || (tos_of(one.mbuf) & kEcnMask) == kEcnCe;
    }
    const bool fits = rest_len <= rte_pktmbuf_tailroom(first);
    if (!fits || pieces.piece[0].len < kUdpLen) {
        for (const Fragment& one : std::span{pieces.piece}.first(pieces.nb))
            worker.drop(one.mbuf, fits ? Drop::fragment_bad : Drop::fragment_too_large);
        return nullptr;
    }
    if (congested)
        take_over_ecn(first);
    for (const Fragment& one : rest) {
        char* const end = rte_pktmbuf_append(first, one.len);
        std::memcpy(end, header_at<uint8_t>(one.mbuf, one.payload_offset), one.len);
        worker.drop(one.mbuf, Drop::reassembled);
    }
    return first;
}

// The whole frame, or null while pieces are missing.
rte_mbuf* reassemble(Worker& worker, rte_mbuf* mbuf) noexcept {
    const uint16_t l3_offset = l3_offset_of(mbuf);
    const Parsed parsed = (*header_at<uint8_t>(mbuf, l3_offset) >> 4) == 4
                              ? parse_v4(mbuf, l3_offset)
                              : parse_v6(mbuf, l3_offset);
    rte_mbuf* whole = mbuf;
    // An IPv6 fragment that is all of its datagram waits for nobody (RFC 6946).
    if (parsed.fragment.offset != 0 || parsed.fragment.more) {
        DropSink sink{worker};
        const Reassembly::Pieces& pieces = worker.stage_state.reassemble.datagrams.add(
            sink, parsed.key, parsed.fragment, worker.now_tsc);
        if (pieces.nb == 0)
            return nullptr;
        whole = join(worker, pieces);
    }
    if (whole != nullptr)
        finish(whole);
    return whole;
}

}  // namespace

bool take_fragment_share(Worker& worker) noexcept {
    ReassembleState& state = worker.stage_state.reassemble;
    return state.rate.take(state.paid_until_tsc, worker.now_tsc);
}

rte_mbuf* reassemble_inner(Worker& worker, rte_mbuf* mbuf) noexcept {
    if (!take_fragment_share(worker)) {
        worker.drop(mbuf, Drop::fragment_flood);
        return nullptr;
    }
    meta_of(mbuf).outer_l3_offset = mbuf->data_off;
    return reassemble(worker, mbuf);
}

unsigned fragment_owner(const Worker& worker, rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    const auto* ip4 = header_at<rte_ipv4_hdr>(mbuf, l3_offset);
    const auto* ip6 = header_at<rte_ipv6_hdr>(mbuf, l3_offset);
    const bool v4 = (ip4->version_ihl >> 4) == 4;
    const uint32_t hash =
        v4 ? hash_address(reinterpret_cast<const uint8_t*>(&ip4->src_addr), sizeof ip4->src_addr, 0)
           : hash_address(ip6->src_addr, sizeof ip6->src_addr, 0);
    return hash % worker.nb_workers();
}

void reassemble_stage(Worker& worker, Batch& fragments) noexcept {
    Batch whole;
    for (rte_mbuf* mbuf : fragments) {
        if (rte_mbuf* const frame = reassemble(worker, mbuf))
            whole.push(frame);
    }
    fragments.take(whole);
}

void expire_fragments(Worker& worker, uint64_t now_tsc) noexcept {
    DropSink sink{worker};
    worker.stage_state.reassemble.datagrams.expire(sink, now_tsc);
}

}  // namespace meshgate
