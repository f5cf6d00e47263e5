// SPDX-License-Identifier: Apache-2.0

// In:    WireGuard messages with their link and outer TOS.
// Out:   whole frames: the link's prepared headers in front, lengths, ECN and checksums filled in.
// Drops: no_headroom, unresolved_neighbor (the path's next hop has not answered yet).

#include "dataplane/api/packet.h"
#include "dataplane/path/stages.h"
#include "dataplane/ports/port.h"
#include "dataplane/wire/outer.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

// Puts the prepared headers of `link` in front of a WireGuard message and fills in what depends on
// it. The port finishes the UDP checksum where it says it can. False without headroom.
[[gnu::always_inline]] inline bool prepend_outer(rte_mbuf* mbuf, const Link& link, uint8_t tos,
                                                 const WorkerShared* shared) noexcept {
    const uint16_t message_len = mbuf->data_len;
    if (!prepend(mbuf, link.header_len))
        return false;
    auto* frame = header_at<uint8_t>(mbuf);
    copy_header(frame, link);
    mbuf->ol_flags = 0;
    uint8_t* l3 = frame + link.ip_offset;
    if (link.outer_ipv6)
        fill_outer_ipv6(l3, message_len, tos);
    else
        fill_outer_ipv4(l3, message_len, tos);
    // No port makes the sum of what it sends in pieces.
    const bool offload = shared != nullptr && shared->ports[link.port]->traits().tx_udp_checksum;
    sum_outer_udp(mbuf, l3, link, offload && !is_too_long(meta_of(mbuf).mtu_bytes, message_len));
    return true;
}

}  // namespace

bool encapsulate(Packet& packet, const Link& link, uint8_t dscp_ecn) noexcept {
    return prepend_outer(packet.get(), link, dscp_ecn, nullptr);
}

void forbid_fragments(Batch& batch) noexcept {
    for (rte_mbuf* mbuf : batch) {
        const PacketMeta& meta = meta_of(mbuf);
        if (meta.info.mtu_bytes == 0 || meta.link->outer_ipv6)
            continue;
        auto* ip = header_at<rte_ipv4_hdr>(mbuf, meta.link->ip_offset);
        const uint16_t before_be = ip->fragment_offset;
        ip->fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG);
        ip->hdr_checksum = adjust_checksum(ip->hdr_checksum, before_be, ip->fragment_offset);
    }
}

void encap_stage(Worker& worker, Batch& batch) noexcept {
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        const Link& link = *meta.link;
        if (link.header_len == 0) [[unlikely]] {  // stands in until there is an address
            worker.drop(mbuf, Drop::unresolved_neighbor);
            return false;
        }
        meta.departure_port = link.port;
        if (prepend_outer(mbuf, link, meta.outer_tos, &worker.shared))
            return true;
        worker.drop(mbuf, Drop::no_headroom);
        return false;
    });
}

}  // namespace meshgate
