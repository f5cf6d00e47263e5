// SPDX-License-Identifier: Apache-2.0

// In:    WireGuard messages with their link and outer TOS.
// Out:   whole frames: the link's prepared headers in front, lengths, ECN and checksums filled in.
// Drops: no_mbuf (no headroom).

#include "dataplane/api/packet.h"
#include "dataplane/port.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

namespace meshgate {

namespace {

// UDP over IPv4 goes without a checksum: the AEAD's tag says more (RFC 768 allows it).
void fill_ipv4(uint8_t* l3, uint16_t message_len, uint8_t tos) noexcept {
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(l3);
    ip->type_of_service = tos;
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(kIpv4Len + kUdpLen + message_len));
    // RFC 1624 with both old values 0. Cannot come to 0xffff, which is another 0: TTL is not 0.
    uint32_t sum = static_cast<uint16_t>(~ip->hdr_checksum);
    sum += uint32_t{ip->total_length} + rte_cpu_to_be_16(tos);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip->hdr_checksum = static_cast<uint16_t>(~sum);
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

// 42 to 66 bytes, in steps that need no loop: the first 32, the last 32, and what is between.
void copy_header(uint8_t* frame, const Link& link) noexcept {
    constexpr size_t kStep = 32;
    const uint8_t* header = link.header.data();
    const size_t tail = link.header_len - kStep;
    std::memcpy(frame, header, kStep);
    if (tail > kStep)
        std::memcpy(frame + kStep, header + kStep, sizeof(uint64_t));
    std::memcpy(frame + tail, header + tail, kStep);
}

// Puts the prepared headers of `link` in front of a WireGuard message and fills in what depends on
// it. The port finishes an IPv6 UDP checksum where it says it can. False without headroom.
inline bool prepend_outer(rte_mbuf* mbuf, const Link& link, uint8_t tos,
                          const PortTraits* traits) noexcept {
    const uint16_t message_len = mbuf->data_len;
    if (!prepend(mbuf, link.header_len))
        return false;
    auto* frame = header_at<uint8_t>(mbuf);
    copy_header(frame, link);
    mbuf->ol_flags = 0;
    if (!link.outer_ipv6) {
        fill_ipv4(frame + link.ip_offset, message_len, tos);
        return true;
    }
    const bool offload = traits != nullptr && traits->tx_udp_checksum;
    fill_ipv6(frame + link.ip_offset, message_len, tos, offload);
    if (offload) {
        mbuf->ol_flags = RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM;
        mbuf->l2_len = link.ip_offset & 0x7fU;
        mbuf->l3_len = kIpv6Len;
    }
    return true;
}

}  // namespace

bool encapsulate(Packet& packet, const Link& link, uint8_t dscp_ecn) noexcept {
    rte_mbuf* const mbuf = packet.release();
    packet = Packet{mbuf};
    return prepend_outer(mbuf, link, dscp_ecn, nullptr);
}

void encap_stage(Worker& worker, Batch& batch) noexcept {
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        const Link& link = *meta.link;
        meta.departure_port = link.port;
        if (prepend_outer(mbuf, link, meta.outer_tos, &worker.shared.ports[link.port]->traits()))
            return true;
        worker.drop(mbuf, Drop::no_mbuf);
        return false;
    });
}

}  // namespace meshgate
