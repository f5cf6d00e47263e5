// SPDX-License-Identifier: Apache-2.0

// In:    IP packets with the MTU of the way onwards.
// Out:   packets that fit, in order; IPv4 without DF is cut (RFC 791), which makes packets of ours.
//        IPv6 of up to 1280 bytes for a peer stays as it is: its datagram is to be cut instead
//        (RFC 8200, 5). True when there is such.
// Errors: too_big, for IPv6 and IPv4 with DF (W43).
// Drops: no_mbuf, batch_full, too_big (more pieces than a packet may have).

#include <rte_ip_frag.h>

#include <cerrno>

#include "dataplane/path/stages.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

// A frame of 9000 bytes cut for the smallest MTU that IPv4 promises.
constexpr uint16_t kMaxPieces = 24;

bool may_fragment(rte_mbuf* mbuf) noexcept {
    if (ip_version(mbuf) != 4)
        return false;
    const auto* ip = header_at<rte_ipv4_hdr>(mbuf);
    return (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)) == 0;
}

// The pieces inherit what the packet knows; their checksums are made here, for no port does it
// under encryption.
// The number of pieces, or a negative errno.
int32_t cut(Worker& worker, std::array<rte_mbuf*, kMaxPieces>& pieces, rte_mbuf* mbuf) noexcept {
    const PacketMeta& meta = meta_of(mbuf);
    // The library cuts payload at multiples of eight only when the MTU says so.
    const uint16_t header_len = rte_ipv4_hdr_len(header_at<rte_ipv4_hdr>(mbuf));
    const auto payload_len = static_cast<uint16_t>((meta.mtu_bytes - header_len) & ~7);
    const int32_t nb_pieces = rte_ipv4_fragment_copy_nonseg_packet(
        mbuf, pieces.data(), kMaxPieces, static_cast<uint16_t>(header_len + payload_len),
        worker.shared.pool);
    for (int32_t i = 0; i < nb_pieces; ++i) {
        meta_of(pieces[static_cast<size_t>(i)]) = meta;
        auto* ip = header_at<rte_ipv4_hdr>(pieces[static_cast<size_t>(i)]);
        ip->hdr_checksum = 0;
        ip->hdr_checksum = static_cast<uint16_t>(~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip)));
    }
    return nb_pieces;
}

void fragment(Worker& worker, Batch& out, rte_mbuf* mbuf) noexcept {
    std::array<rte_mbuf*, kMaxPieces> pieces;
    const int32_t nb_pieces = cut(worker, pieces, mbuf);
    if (nb_pieces <= 0) {
        worker.drop(mbuf, nb_pieces == -ENOMEM ? Drop::no_mbuf : Drop::too_big);
        return;
    }
    worker.counters.originated_packets.add(static_cast<uint64_t>(nb_pieces) - 1);
    rte_pktmbuf_free(mbuf);
    for (rte_mbuf* piece : std::span{pieces}.first(static_cast<size_t>(nb_pieces))) {
        if (out.full())
            worker.drop(piece, Drop::batch_full);
        else
            out.push(piece);
    }
}

bool fits(rte_mbuf* mbuf) noexcept {
    return mbuf->data_len <= meta_of(mbuf).mtu_bytes;
}

bool is_cut_below(rte_mbuf* mbuf, TooNarrow policy) noexcept {
    return policy == TooNarrow::cut_datagrams && meta_of(mbuf).to_peer != kNoPeer &&
           ip_version(mbuf) == 6 && mbuf->data_len <= kIpv6MinMtu;
}

}  // namespace

bool fragment_stage(Worker& worker, Batch& batch, Batch& errors, TooNarrow policy) noexcept {
    bool all_fit = true;
    for (rte_mbuf* mbuf : batch)
        all_fit = all_fit && fits(mbuf);
    if (all_fit)
        return false;
    Batch out;
    bool any_cut_below = false;
    for (rte_mbuf* mbuf : batch) {
        const bool cut_below = !fits(mbuf) && is_cut_below(mbuf, policy);
        const bool passes = cut_below || fits(mbuf);
        any_cut_below = any_cut_below || cut_below;
        if (passes && !out.full()) {
            out.push(mbuf);
        } else if (passes) {
            worker.drop(mbuf, Drop::batch_full);
        } else if (may_fragment(mbuf)) {
            fragment(worker, out, mbuf);
        } else {
            meta_of(mbuf).error = IcmpError::too_big;
            errors.push(mbuf);
        }
    }
    batch.take(out);
    return any_cut_below;
}

}  // namespace meshgate
