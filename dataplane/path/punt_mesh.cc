// SPDX-License-Identifier: Apache-2.0
#include "dataplane/path/punt_mesh.h"

#include <algorithm>

#include "dataplane/ports/port.h"
#include "dataplane/wire/outer.h"
#include "dataplane/wire/partial_checksum.h"

namespace meshgate {

namespace {

// RFC 8966, section 5.
constexpr std::array<uint8_t, 16> kBabelGroup{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 6};

// An IPv6 packet that carries a whole UDP datagram to that port, and nothing else.
bool is_udp_to(uint16_t port, const rte_ipv6_hdr* ip) noexcept {
    const uint16_t udp_len = rte_be_to_cpu_16(ip->payload_len);
    if (ip->proto != kProtoUdp || udp_len < kUdpLen)
        return false;
    const auto* udp = reinterpret_cast<const rte_udp_hdr*>(ip + 1);
    return udp->dst_port == rte_cpu_to_be_16(port) && udp->dgram_len == rte_cpu_to_be_16(udp_len);
}

bool is_babel(const rte_ipv6_hdr* ip) noexcept {
    return is_udp_to(kBabelPort, ip) && is_link_local_v6(ip->src_addr) &&
           (is_link_local_v6(ip->dst_addr) ||
            std::memcmp(ip->dst_addr, kBabelGroup.data(), kBabelGroup.size()) == 0);
}

bool checksum_right(const rte_ipv6_hdr* ip) noexcept {
    const auto* udp = reinterpret_cast<const rte_udp_hdr*>(ip + 1);
    const auto* bytes = reinterpret_cast<const uint8_t*>(udp);
    // Over itself, a right checksum leaves the zero that UDP writes as 0xffff.
    return l4_checksum(addresses_of(*ip), kProtoUdp, {bytes, rte_be_to_cpu_16(udp->dgram_len)}) ==
           0xffff;
}

void punt(Worker& worker, rte_mbuf* mbuf, uint64_t& paid_until_tsc) noexcept {
    if (!checksum_right(header_at<rte_ipv6_hdr>(mbuf)))
        worker.drop(mbuf, Drop::bad_udp);
    else if (!worker.stage_state.punt_mesh.rate.take(paid_until_tsc, worker.now_tsc))
        worker.drop(mbuf, Drop::mesh_flood);
    else
        worker.punt(mbuf, Punt::mesh);
}

void punt_from_peer(Worker& worker, rte_mbuf* mbuf) noexcept {
    PacketMeta& meta = meta_of(mbuf);
    const OuterEndpoints outer = outer_endpoints(mbuf);
    meta.info = PacketInfo{.peer = meta.from_peer, .remote = outer.remote, .local = outer.local};
    punt(worker, mbuf, worker.parts.activity[meta.from_peer].mesh_paid_until_tsc);
}

}  // namespace

bool takes_babel(Worker& worker, rte_mbuf* mbuf) noexcept {
    if (!is_babel(header_at<rte_ipv6_hdr>(mbuf)))
        return false;
    punt_from_peer(worker, mbuf);
    return true;
}

bool takes_mesh_control(Worker& worker, rte_mbuf* mbuf) noexcept {
    if (!is_udp_to(kMeshPort, header_at<rte_ipv6_hdr>(mbuf)))
        return false;
    punt_from_peer(worker, mbuf);
    return true;
}

bool takes_babel_in_clear(Worker& worker, rte_mbuf* mbuf, const PortView& view,
                          Frame frame) noexcept {
    const auto& ip = frame.l3<rte_ipv6_hdr>();
    const bool to_us = ip.dst_addr[0] == 0xff || is_ours_v6(view, ip.dst_addr);
    if (!is_babel(&ip) || !to_us || is_ours_v6(view, ip.src_addr))
        return false;
    PacketMeta& meta = meta_of(mbuf);
    meta.info = PacketInfo{.source_mac = frame.source()};
    narrow(mbuf, frame.l3_offset, static_cast<uint16_t>(mbuf->data_len - frame.l3_offset));
    if (worker.shared.ports[meta.arrival_port]->traits().finish_partial_checksums)
        finish_partial_checksum(mbuf);
    punt(worker, mbuf, worker.stage_state.punt_mesh.paid_until_tsc[meta.arrival_port]);
    return true;
}

}  // namespace meshgate
