// SPDX-License-Identifier: Apache-2.0

// In:    WireGuard messages with their link and outer TOS.
// Out:   whole frames: the link's prepared headers in front, lengths, ECN and checksums filled in.
// Drops: no_mbuf (no headroom).

#include "dataplane/encap.h"

#include "dataplane/api/packet.h"
#include "dataplane/port.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

namespace meshgate {

namespace {

// UDP over IPv4 goes without a checksum: the AEAD's tag says more (RFC 768 allows it). Where the
// port can do the header's sum, it does.
void fill_ipv4(uint8_t* l3, uint16_t message_len, uint8_t tos) noexcept {
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(l3);
    ip->type_of_service = tos;
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(kIpv4Len + kUdpLen + message_len));
    ip->hdr_checksum = 0;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    auto* udp = reinterpret_cast<rte_udp_hdr*>(l3 + kIpv4Len);
    udp->dgram_len = rte_cpu_to_be_16(static_cast<uint16_t>(kUdpLen + message_len));
}

// Over IPv6 the UDP checksum is mandatory (W44).
void fill_ipv6(uint8_t* l3, uint16_t message_len, uint8_t tos, bool offload) noexcept {
    auto* ip = reinterpret_cast<rte_ipv6_hdr*>(l3);
    auto* udp = reinterpret_cast<rte_udp_hdr*>(l3 + kIpv6Len);
    const uint16_t udp_len_be = rte_cpu_to_be_16(static_cast<uint16_t>(kUdpLen + message_len));
    ip->vtc_flow = rte_cpu_to_be_32((uint32_t{6} << 28) | (uint32_t{tos} << 20));
    ip->payload_len = udp_len_be;
    udp->dgram_len = udp_len_be;
    udp->dgram_cksum = 0;
    udp->dgram_cksum =
        offload ? rte_ipv6_phdr_cksum(ip, RTE_MBUF_F_TX_UDP_CKSUM) : rte_ipv6_udptcp_cksum(ip, udp);
}

}  // namespace

bool prepend_outer(rte_mbuf* mbuf, const Link& link, uint8_t tos,
                   bool udp_checksum_offload) noexcept {
    const uint16_t message_len = mbuf->data_len;
    auto* frame = reinterpret_cast<uint8_t*>(rte_pktmbuf_prepend(mbuf, link.header_len));
    if (frame == nullptr)
        return false;
    std::memcpy(frame, link.header.data(), link.header_len);
    mbuf->ol_flags = 0;
    if (!link.outer_ipv6) {
        fill_ipv4(frame + link.ip_offset, message_len, tos);
        return true;
    }
    fill_ipv6(frame + link.ip_offset, message_len, tos, udp_checksum_offload);
    if (udp_checksum_offload) {
        mbuf->ol_flags = RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM;
        mbuf->l2_len = link.ip_offset & 0x7fU;
        mbuf->l3_len = kIpv6Len;
    }
    return true;
}

bool encapsulate(Packet& packet, const Link& link, uint8_t dscp_ecn) noexcept {
    rte_mbuf* const mbuf = packet.release();
    packet = Packet{mbuf};
    return prepend_outer(mbuf, link, dscp_ecn, false);
}

void encap_stage(Worker& worker, Batch& batch) noexcept {
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        const Link& link = *meta.link;
        const bool offload = worker.shared.ports[link.port]->traits().tx_udp_checksum;
        meta.departure_port = link.port;
        if (prepend_outer(mbuf, link, meta.outer_tos, offload))
            return true;
        worker.drop(mbuf, Drop::no_mbuf);
        return false;
    });
}

}  // namespace meshgate
