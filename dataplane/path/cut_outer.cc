// SPDX-License-Identifier: Apache-2.0

// In:    whole frames with their link, UDP checksums made.
// Out:   the same; datagrams that exceed the path's MTU as fragments (RFC 791; RFC 8200, 4.5). Runs
//        where a narrow path has to carry IPv6 packets of up to 1280 bytes, which the layer below
//        IPv6 must do (RFC 8200, 5): nothing else that is too big gets so far.
// Drops: no_mbuf, batch_full.

#include <algorithm>

#include "dataplane/path/stages.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

uint16_t most_outer(rte_mbuf* mbuf) noexcept {
    const PacketMeta& meta = meta_of(mbuf);
    return outer_mtu(meta.mtu_bytes, meta.link->outer_ipv6 ? Family::ipv6 : Family::ipv4);
}

// A frame's parts: what every fragment repeats, and what is cut.
struct Whole {
    rte_mbuf* mbuf = nullptr;
    uint16_t headers_len = 0;  // Ethernet and IP
    uint16_t ip_offset = 0;
    uint16_t payload_len = 0;
    uint16_t room = 0;  // for payload, in each fragment
    bool v6 = false;
    uint32_t identification = 0;

    uint16_t extra_len() const noexcept { return v6 ? sizeof(FragmentHeader) : uint16_t{0}; }
};

Whole take_apart(Worker& worker, rte_mbuf* mbuf) noexcept {
    const Link& link = *meta_of(mbuf).link;
    Whole whole{.mbuf = mbuf, .ip_offset = link.ip_offset, .v6 = link.outer_ipv6};
    const uint16_t ip_len = whole.v6 ? kIpv6Len : kIpv4Len;
    whole.headers_len = static_cast<uint16_t>(whole.ip_offset + ip_len);
    whole.payload_len = static_cast<uint16_t>(mbuf->data_len - whole.headers_len);
    whole.room = static_cast<uint16_t>((most_outer(mbuf) - ip_len - whole.extra_len()) & ~7);
    // Others' are odd where ours are even, and so on: no two workers use one at a time.
    whole.identification = worker.stage_state.cut_outer.next_identification;
    worker.stage_state.cut_outer.next_identification += worker.nb_workers();
    return whole;
}

void write_v4(uint8_t* l3, const Whole& whole, uint16_t offset, uint16_t len, bool more) noexcept {
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(l3);
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(kIpv4Len + len));
    ip->packet_id = static_cast<uint16_t>(whole.identification);
    ip->fragment_offset =
        rte_cpu_to_be_16(static_cast<uint16_t>(offset / 8 | (more ? RTE_IPV4_HDR_MF_FLAG : 0)));
    ip->hdr_checksum = 0;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
}

void write_v6(uint8_t* l3, const Whole& whole, uint16_t offset, uint16_t len, bool more) noexcept {
    auto* ip = reinterpret_cast<rte_ipv6_hdr*>(l3);
    auto* header = reinterpret_cast<FragmentHeader*>(ip + 1);
    *header = {.next_header = ip->proto,
               .reserved = 0,
               .offset_and_more_be = rte_cpu_to_be_16(static_cast<uint16_t>(offset | more)),
               .identification_be = whole.identification};
    ip->proto = kProtoFragment;
    ip->payload_len = rte_cpu_to_be_16(static_cast<uint16_t>(sizeof *header + len));
}

rte_mbuf* make_fragment(Worker& worker, const Whole& whole, uint16_t offset) noexcept {
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(worker.shared.pool);
    if (mbuf == nullptr)
        return nullptr;
    const auto len = std::min<uint16_t>(whole.room, whole.payload_len - offset);
    const auto front_len = static_cast<uint16_t>(whole.headers_len + whole.extra_len());
    const auto* from = header_at<uint8_t>(whole.mbuf);
    auto* to = reinterpret_cast<uint8_t*>(
        rte_pktmbuf_append(mbuf, static_cast<uint16_t>(front_len + len)));
    if (to == nullptr) {
        rte_pktmbuf_free(mbuf);
        return nullptr;
    }
    std::memcpy(to, from, whole.headers_len);
    std::memcpy(to + front_len, from + whole.headers_len + offset, len);
    const bool more = offset + len < whole.payload_len;
    (whole.v6 ? write_v6 : write_v4)(to + whole.ip_offset, whole, offset, len, more);
    meta_of(mbuf) = meta_of(whole.mbuf);
    return mbuf;
}

// All of its fragments, or none.
void cut(Worker& worker, Batch& out, rte_mbuf* mbuf) noexcept {
    const Whole whole = take_apart(worker, mbuf);
    Batch fragments;
    for (uint32_t offset = 0; offset < whole.payload_len; offset += whole.room) {
        const bool full = out.size() + fragments.size() == Batch::kCapacity;
        rte_mbuf* const fragment =
            full ? nullptr : make_fragment(worker, whole, static_cast<uint16_t>(offset));
        if (fragment == nullptr) {
            for (rte_mbuf* made : fragments)
                rte_pktmbuf_free(made);
            fragments.clear();
            worker.drop(mbuf, full ? Drop::batch_full : Drop::no_mbuf);
            return;
        }
        fragments.push(fragment);
    }
    worker.counters.originated_packets.add(fragments.size() - 1U);
    rte_pktmbuf_free(mbuf);
    for (rte_mbuf* fragment : fragments)
        out.push(fragment);
    fragments.clear();
}

}  // namespace

void cut_outer_stage(Worker& worker, Batch& batch) noexcept {
    Batch out;
    for (rte_mbuf* mbuf : batch) {
        if (mbuf->data_len - meta_of(mbuf).link->ip_offset > most_outer(mbuf))
            cut(worker, out, mbuf);
        else if (out.full())
            worker.drop(mbuf, Drop::batch_full);
        else
            out.push(mbuf);
    }
    batch.take(out);
}

}  // namespace meshgate
